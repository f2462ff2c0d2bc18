/**
 * `node scripts/imports.ts [folder …]`: how the files of each folder depend on each other (default: src and src/panel).
 * Prints its files and lines, files per folder, imports between files and between folders, the longest chain of each, and
 * the files in circles.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')

export interface Import {
  from: string
  to: string
}

export const sourcesBelow = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.tsx?$/.test(name))
    .map((name) => join(folder, name))
    .sort()

export const code = (file: string): string => readFileSync(join(root, file), 'utf8')

export const importsBelow = (folder: string): Import[] => sourcesBelow(folder).flatMap(importsOf)

/** Imports of files of this project; packages do not count. */
export function importsOf(file: string): Import[] {
  return specifiersOf(code(file))
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => ({ from: file, to: relative(root, resolve(root, dirname(file), specifier)) }))
}

export const specifiersOf = (source: string): string[] =>
  [...source.matchAll(/(?:\bfrom\s+|\bimport\s*\(?\s*)'([^']+)'/g)].map((match) => match[1]!)

/** Files that import themselves through others, also for types alone. */
export function inRings(imports: readonly Import[]): string[] {
  for (let left = imports; ; ) {
    const [importing, imported] = [new Set(left.map(({ from }) => from)), new Set(left.map(({ to }) => to))]
    const next = left.filter(({ from, to }) => imported.has(from) && importing.has(to))
    if (next.length === left.length) return [...importing].sort()
    left = next
  }
}

/** The number of nodes on the longest chain of imports; those in circles count once. */
function longestChain(imports: readonly Import[]): number {
  const targets = Map.groupBy(imports, ({ from }) => from)
  const known = new Map<string, number>()
  const lengthFrom = (node: string, above: ReadonlySet<string>): number => {
    const length = known.get(node)
    if (length !== undefined) return length
    const below = (targets.get(node) ?? []).filter(({ to }) => !above.has(to) && to !== node)
    const longest = 1 + Math.max(0, ...below.map(({ to }) => lengthFrom(to, new Set([...above, node]))))
    known.set(node, longest)
    return longest
  }
  return Math.max(0, ...[...targets.keys()].map((node) => lengthFrom(node, new Set())))
}

function unique(imports: readonly Import[]): Import[] {
  const pairs = new Map(imports.map((one) => [`${one.from} ${one.to}`, one]))
  return [...pairs.values()].filter(({ from, to }) => from !== to)
}

function measure(folder: string): Record<string, string | number> {
  const files = sourcesBelow(folder)
  const inside = unique(importsBelow(folder).filter(({ to }) => to.startsWith(`${folder}/`)))
  const folders = unique(inside.map(({ from, to }) => ({ from: dirname(from), to: dirname(to) })))
  const sizes = [...Map.groupBy(files, dirname).values()].map(({ length }) => length).sort((a, b) => a - b)
  const at = (share: number) => sizes[Math.min(sizes.length - 1, Math.floor(share * sizes.length))]
  return {
    files: files.length,
    lines: files.reduce((sum, file) => sum + code(file).split('\n').length - 1, 0),
    'files per folder p50/p90/max': `${at(0.5)}/${at(0.9)}/${sizes.at(-1)}`,
    'imports between files': inside.length,
    'longest chain of files': longestChain(inside),
    'files in circles': inRings(inside).length,
    'imports between folders': folders.length,
    'longest chain of folders': longestChain(folders),
  }
}

if (import.meta.main) {
  const given = process.argv.slice(2)
  const folders = given.length > 0 ? given : ['src', 'src/panel']
  console.table(Object.fromEntries(folders.map((folder) => [folder, measure(folder)])))
}
