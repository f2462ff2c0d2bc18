/**
 * Reads a configuration file into plain data, with the position of each key. YAML is read as YAML 1.2 with few aliases
 * allowed. TOML is parsed by smol-toml, which is safe but has no positions; these come from toml-eslint-parser, whose
 * syntax tree has one for every key.
 */
import { readFileSync, statSync } from 'node:fs'
import { parse as parseToml, TomlError } from 'smol-toml'
import { type AST, ParseError, parseTOML } from 'toml-eslint-parser'
import { type ErrorCode, isMap, isNode, isScalar, LineCounter, type Node, type Pair, parseDocument, visit } from 'yaml'
import type { Key, Problem } from './problems.ts'

const MAX_FILE_BYTES = 1_048_576
/** Maximum aliases in a file; "billion laughs" needs many more. */
const MAX_ALIASES = 50

export interface FilePosition {
  /** From 1. */
  line: number
  /** From 1, in characters. */
  column: number
}

export type FileReading =
  | { ok: true; value: unknown; placeOf: (key: Key) => FilePosition | undefined }
  | { ok: false; problems: Problem[] }

/** `name`: the file's name in problems. Never throws: errors in the file are returned in `problems`. */
export function readConfigFile(path: string, name: string): FileReading {
  try {
    const text = readText(path)
    return path.endsWith('.toml') ? readToml(text, name) : readYaml(text, name)
  } catch (error) {
    return { ok: false, problems: [{ place: name, key: '', what: (error as Error).message }] }
  }
}

function readText(path: string): string {
  if (!/\.(ya?ml|toml)$/.test(path)) throw new Error('expected a name that ends in .yaml, .yml or .toml')
  const found = statSync(path, { throwIfNoEntry: false })
  if (!found) throw new Error('no such file')
  if (!found.isFile()) throw new Error('expected a file, got something else')
  if (found.size > MAX_FILE_BYTES) throw new Error(`expected at most 1 MiB, got ${found.size} bytes`)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EACCES') throw new Error('permission denied')
    if (error instanceof TypeError) throw new Error('expected UTF-8 text')
    throw error
  }
}

/** Reads YAML, and so JSON. Never throws. */
export function readYaml(text: string, name: string): FileReading {
  const lines = new LineCounter()
  const document = parseDocument(text, { version: '1.2', lineCounter: lines, prettyErrors: false, stringKeys: true })
  const placeAt = (offset: number): FilePosition => {
    const { line, col } = lines.linePos(offset)
    return { line, column: col }
  }
  const problems: Problem[] = []
  const add = (offset: number, what: string) => problems.push({ place: placed(name, placeAt(offset)), key: '', what })
  // A warning is an unknown tag, whose meaning would be lost.
  for (const { code, pos, message } of [...document.errors, ...document.warnings]) {
    add(pos[0], YAML_MISTAKES[code] ?? firstLine(message))
  }
  visit(document, {
    // Only plain digits are numbers: 5e1, 0x10 and .inf stay text, which is refused where a number is expected.
    Scalar(_, scalar) {
      if (typeof scalar.value === 'number' && !/^[-+]?\d+(\.\d+)?$/.test(scalar.source ?? '')) {
        scalar.value = scalar.source
      }
    },
    Alias(_, alias, ancestors) {
      const meant = alias.resolve(document)
      if (!meant) add(alias.range?.[0] ?? 0, `there is no anchor &${alias.source} before this`)
      else if (ancestors.includes(meant)) add(alias.range?.[0] ?? 0, `*${alias.source} refers to itself`)
    },
  })
  if (problems.length > 0) return { ok: false, problems }
  let value: unknown
  try {
    value = document.toJS({ maxAliasCount: MAX_ALIASES })
  } catch {
    add(0, 'too many aliases (*name)')
    return { ok: false, problems }
  }
  return {
    ok: true,
    value: withEmptySections(value),
    placeOf: (key) => {
      const offset = yamlOffset(document.contents, key)
      return offset === undefined ? undefined : placeAt(offset)
    },
  }
}

/** Replaces the parser's messages that are written for programmers. */
const YAML_MISTAKES: Readonly<Partial<Record<ErrorCode, string>>> = {
  DUPLICATE_KEY: 'duplicate key',
  MULTIPLE_DOCS: 'expected one document, another begins here',
}

/** A section whose lines are all comments is empty, not null. */
const withEmptySections = (document: unknown): unknown =>
  typeof document === 'object' && document !== null && !Array.isArray(document)
    ? Object.fromEntries(Object.entries(document).map(([name, section]) => [name, section ?? {}]))
    : document

/** Returns where a key's name, or a list entry, begins; undefined if it is not in the file. */
function yamlOffset(root: unknown, key: Key): number | undefined {
  let node: unknown = root
  let offset: number | undefined
  for (const segment of key) {
    if (isMap(node)) {
      const pair: Pair | undefined = node.items.find(
        (item) => isScalar(item.key) && String(item.key.value) === String(segment),
      )
      if (!pair) return undefined
      offset = (pair.key as Node).range?.[0]
      node = pair.value
    } else {
      node =
        isNode(node) && 'get' in node ? (node.get as (key: unknown, keep: boolean) => unknown)(segment, true) : null
      if (!isNode(node)) return undefined
      offset = node.range?.[0]
    }
  }
  return offset
}

function readToml(text: string, name: string): FileReading {
  try {
    const value = parseToml(text)
    let places: readonly TomlPlace[] | undefined
    return {
      ok: true,
      value,
      placeOf: (key) => {
        places ??= placesIn(text)
        return deepest(places, key.map(String))
      },
    }
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    const what = firstLine(error.message).replace(/^Invalid TOML document: /, '')
    return { ok: false, problems: [{ place: placed(name, error), key: '', what }] }
  }
}

interface TomlPlace extends FilePosition {
  key: readonly string[]
}

/** Returns no positions when the two parsers disagree about the syntax: problems then name only the file. */
function placesIn(text: string): TomlPlace[] {
  try {
    return [...tomlPlaces(parseTOML(text).body[0].body, [])]
  } catch (error) {
    if (error instanceof ParseError) return []
    throw error
  }
}

/** Yields every table, key and list entry, in the order of the file. `above`: the key of the container. */
function* tomlPlaces(
  nodes: readonly (AST.TOMLTable | AST.TOMLKeyValue | AST.TOMLContentNode)[],
  above: readonly string[],
): Generator<TomlPlace> {
  for (const [index, node] of nodes.entries()) {
    const key = tomlKey(node, above, index)
    yield { key, line: node.loc.start.line, column: node.loc.start.column + 1 }
    const content = node.type === 'TOMLKeyValue' ? node.value : node
    if (content.type === 'TOMLTable' || content.type === 'TOMLInlineTable') yield* tomlPlaces(content.body, key)
    else if (content.type === 'TOMLArray') yield* tomlPlaces(content.elements, key)
  }
}

/** `index`: position of a list entry. */
function tomlKey(node: AST.TOMLNode, above: readonly string[], index: number): string[] {
  if (node.type === 'TOMLTable') return node.resolvedKey.map(String)
  if (node.type !== 'TOMLKeyValue') return [...above, String(index)]
  return [...above, ...node.key.keys.map((part) => (part.type === 'TOMLBare' ? part.name : part.value))]
}

/** Returns the position of a key, else of the closest container; undefined if neither is in the file. */
function deepest(places: readonly TomlPlace[], path: readonly string[]): FilePosition | undefined {
  let best: TomlPlace | undefined
  for (const place of places) {
    const isAround = place.key.every((segment, depth) => segment === path[depth])
    if (isAround && place.key.length > (best?.key.length ?? 0)) best = place
  }
  return best && { line: best.line, column: best.column }
}

const firstLine = (text: string): string => text.split('\n')[0]!.replace(/:$/, '')

/** "iron-cage.yaml:12:3" */
export const placed = (name: string, { line, column }: FilePosition): string => `${name}:${line}:${column}`
