/**
 * `node scripts/english.ts [--worst 40] [--only src/panel] [--write]`: how often the project's prose has one of four shapes
 * that make English sound translated, per 1,000 words of each page and folder. A shape is no error by itself; the rate is.
 * Code, tables and quotations do not count.
 *
 *   --worst N    the N sentences that have most of them
 *   --only PART  only pages and folders with this in their name
 *   --write      lowers the limits of english.json to the rates of today; they never rise
 */
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'

const root = resolve(import.meta.dirname, '..')
const LIMITS = join(import.meta.dirname, 'english.json')

/** The shapes, and their rates in projects that are read with pleasure: Execa, Graphile Worker, Cockatiel, Hono, Caddy. */
export const SHAPES = {
  'indefinite person': { pattern: /\b(?:nobody|whoever|somebody|whatever)\b/g, elsewhere: '0 to 0.4' },
  '"what is" as a noun': {
    pattern:
      /\b[Ww]hat (?:is|was|are|were|it|an?|the|they|has|had|does|do|may|can|one|comes|agents|calls|others|nobody|somebody)\b/g,
    elsewhere: '0 to 0.5',
  },
  'say, hear, tell': { pattern: /\b(?:says?|said|saying|hears?|heard|tells?|told)\b/g, elsewhere: '0 to 0.2' },
  '"a … of its own"': {
    pattern: /\b(?:an?|no) [a-z-]+(?: [a-z-]+)? of (?:its|their|his|your|our) own\b/g,
    elsewhere: '0',
  },
} as const

type Shape = keyof typeof SHAPES
export type Rates = Readonly<Record<Shape, number>>

const SHAPE_NAMES = Object.keys(SHAPES) as Shape[]

/** A page, or the comments or titles of a folder. */
export interface Prose {
  name: string
  file: string
  text: string
}

/** Occurrences per 1,000 words, to one decimal. */
export function ratesOf(text: string): Rates {
  const words = Math.max(1, text.split(/\s+/).filter(Boolean).length)
  const rate = (shape: Shape) => Math.round(((text.match(SHAPES[shape].pattern)?.length ?? 0) * 10_000) / words) / 10
  return Object.fromEntries(SHAPE_NAMES.map((shape) => [shape, rate(shape)])) as Record<Shape, number>
}

/** The prose of every page and folder. */
export function* proseOf(): Generator<Prose> {
  for (const file of ['README.md', ...globSync('docs/**/*.md', { cwd: root }).sort()]) {
    yield { name: file, file, text: ofPage(read(file)) }
  }
  for (const file of globSync('{src,web,python,scripts,test,demo}/**/*.{ts,tsx,mjs,py}', { cwd: root }).sort()) {
    const [top, folder, ...below] = file.split('/')
    const name = top === 'src' && below.length > 0 ? `src/${folder}` : top!
    yield { name: `${name} comments`, file, text: commentsOf(read(file), file.endsWith('.py')) }
    if (top === 'test') yield { name: 'test titles', file, text: titlesOf(read(file)) }
  }
}

/** By page and folder. */
export function rates(prose: Iterable<Prose> = proseOf()): Record<string, Rates> {
  const texts = new Map<string, string[]>()
  for (const { name, text } of prose) texts.set(name, [...(texts.get(name) ?? []), text])
  return Object.fromEntries([...texts].map(([name, parts]) => [name, ratesOf(parts.join('\n'))]))
}

/** Returns the rates above their limits. A page or folder without a limit must be as good as those elsewhere. */
export function excesses(found: Record<string, Rates>, limits: Record<string, Rates> = readLimits()): string[] {
  return Object.entries(found).flatMap(([name, measured]) =>
    SHAPE_NAMES.map((shape) => ({ shape, most: Math.max(limits[name]?.[shape] ?? 0, DEFAULT_LIMITS[shape]) }))
      .filter(({ shape, most }) => measured[shape] > most + ROUNDING)
      .map(({ shape, most }) => `${name}: ${shape} ${measured[shape]}, at most ${most}`),
  )
}

/** A text that gets shorter has a higher rate. */
const ROUNDING = 0.1
/** Below these no page or folder fails. */
const DEFAULT_LIMITS: Rates = {
  'indefinite person': 0.5,
  '"what is" as a noun': 1,
  'say, hear, tell': 0.5,
  '"a … of its own"': 0.2,
}

const read = (file: string): string => readFileSync(join(root, file), 'utf8')

const readLimits = (): Record<string, Rates> => JSON.parse(readFileSync(LIMITS, 'utf8'))

function ofPage(text: string): string {
  return text
    .replace(/```[\s\S]*?```|<!--[\s\S]*?-->/g, '')
    .replace(/^\|.*$|^ {4}.*$/gm, '')
    .replace(/`[^`]*`/g, 'x')
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
}

function commentsOf(text: string, isPython: boolean): string {
  const pattern = isPython
    ? /"""([\s\S]*?)"""|(?:^|\s)#(?!!)([^\n]*)/g
    : /\/\*\*?([\s\S]*?)\*\/|(?:^|[ \t])\/\/([^\n]*)/gm
  return [...text.matchAll(pattern)]
    .map(([, block, line]) => (block ?? line ?? '').replace(/\n\s*\*\s?/g, ' '))
    .join('\n')
}

const titlesOf = (text: string): string =>
  [...text.matchAll(/(?:\b(?:test|it|describe)(?:\.[\w.]+(?:\([^\n]*\))?)?|^ *\].*\))\(\s*(['"`])(.*?)\1/gm)]
    .map(([, , title]) => title)
    .join('.\n')

function print(prose: readonly Prose[], worst: number): void {
  const row = (name: string, cells: readonly unknown[]) =>
    console.log(name.padEnd(34) + cells.map((cell) => String(cell).padStart(22)).join(''))
  row('per 1,000 words', SHAPE_NAMES)
  for (const [name, measured] of Object.entries(rates(prose)))
    row(
      name,
      SHAPE_NAMES.map((shape) => measured[shape]),
    )
  row('all', Object.values(ratesOf(prose.map(({ text }) => text).join('\n'))))
  row(
    'elsewhere',
    SHAPE_NAMES.map((shape) => SHAPES[shape].elsewhere),
  )
  const sentences = prose.flatMap(({ file, text }) =>
    text.split(/(?<=[.!?:])\s+/).map((sentence) => {
      const hits = SHAPE_NAMES.reduce((sum, shape) => sum + (sentence.match(SHAPES[shape].pattern)?.length ?? 0), 0)
      return { file, hits, sentence: sentence.replaceAll(/\s+/g, ' ').trim() }
    }),
  )
  for (const { file, hits, sentence } of sentences
    .filter(({ hits }) => hits > 0)
    .sort((a, b) => b.hits - a.hits)
    .slice(0, worst))
    console.log(`${hits} ${file}: ${sentence}`)
}

function lowerLimits(found: Record<string, Rates>): void {
  const before = readLimits()
  const lower = (name: string, shape: Shape) => Math.min(found[name]![shape], before[name]?.[shape] ?? Infinity)
  const limits = Object.keys(found)
    .sort()
    .map((name) => [name, Object.fromEntries(SHAPE_NAMES.map((shape) => [shape, lower(name, shape)]))])
  writeFileSync(LIMITS, `${JSON.stringify(Object.fromEntries(limits), null, 2)}\n`)
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      worst: { type: 'string', default: '0' },
      only: { type: 'string', default: '' },
      write: { type: 'boolean', default: false },
    },
  })
  const prose = [...proseOf()].filter(({ name }) => name.includes(values.only))
  print(prose, Number(values.worst))
  if (values.write) lowerLimits(rates())
}
