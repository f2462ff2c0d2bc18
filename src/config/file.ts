/**
 * Reads a configuration file into plain data and knows where each key stands in it.
 * YAML is read as YAML 1.2 with few aliases allowed; TOML's reader keeps no positions, so they are searched for.
 */
import { readFileSync, statSync } from 'node:fs'
import { parse as parseToml, TomlError } from 'smol-toml'
import { type ErrorCode, isMap, isNode, isScalar, LineCounter, type Node, type Pair, parseDocument, visit } from 'yaml'
import type { Key, Problem } from './problems.ts'

const MAX_FILE_BYTES = 1_048_576
/** Aliases in one file; "billion laughs" needs many more. */
const MAX_ALIASES = 50

export interface Place {
  /** From 1. */
  line: number
  /** From 1, in characters. */
  column: number
}

export type FileReading =
  | { ok: true; value: unknown; placeOf: (key: Key) => Place | undefined }
  | { ok: false; problems: Problem[] }

/** `name` is how the file is called in problems. Never throws: what is wrong with the file is in `problems`. */
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
  if (!found) throw new Error('there is no such file')
  if (!found.isFile()) throw new Error('expected a file, got something else')
  if (found.size > MAX_FILE_BYTES) throw new Error(`expected at most 1 MiB, got ${found.size} bytes`)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EACCES') throw new Error('not allowed to read it')
    if (error instanceof TypeError) throw new Error('expected UTF-8 text')
    throw error
  }
}

function readYaml(text: string, name: string): FileReading {
  const lines = new LineCounter()
  const document = parseDocument(text, { version: '1.2', lineCounter: lines, prettyErrors: false, stringKeys: true })
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset)
    return { line, column: col }
  }
  const problems: Problem[] = []
  const add = (offset: number, what: string) => problems.push({ place: placed(name, placeAt(offset)), key: '', what })
  // A warning is an unknown tag: what was meant by it would be lost.
  for (const { code, pos, message } of [...document.errors, ...document.warnings]) {
    add(pos[0], YAML_MISTAKES[code] ?? firstLine(message))
  }
  visit(document, {
    // Only plain digits are a number here: 5e1, 0x10 and .inf stay text, which is refused where a number is expected.
    Scalar(_, scalar) {
      if (typeof scalar.value === 'number' && !/^[-+]?\d+(\.\d+)?$/.test(scalar.source ?? '')) {
        scalar.value = scalar.source
      }
    },
    Alias(_, alias, ancestors) {
      const meant = alias.resolve(document)
      if (!meant) add(alias.range?.[0] ?? 0, `there is no anchor &${alias.source} before this`)
      else if (ancestors.includes(meant)) add(alias.range?.[0] ?? 0, `*${alias.source} is within what it stands for`)
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
    value,
    placeOf: (key) => {
      const offset = yamlOffset(document.contents, key)
      return offset === undefined ? undefined : placeAt(offset)
    },
  }
}

/** Where the parser's own words speak to programmers. */
const YAML_MISTAKES: Readonly<Partial<Record<ErrorCode, string>>> = {
  DUPLICATE_KEY: 'this key is there twice',
  MULTIPLE_DOCS: 'expected one document, this begins another',
}

/** Where a key's name begins, or an entry of a list; undefined when it is not in the file. */
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
    return { ok: true, value, placeOf: (key) => tomlPlace(text, key) }
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    const what = firstLine(error.message).replace(/^Invalid TOML document: /, '')
    return { ok: false, problems: [{ place: placed(name, error), key: '', what }] }
  }
}

/** Looks for `key = …` below its [table], else for the table's own line; inside an inline table, for the line of that. */
function tomlPlace(text: string, key: Key): Place | undefined {
  const wanted = key.map(String)
  let table: string[] = []
  let best: { place: Place; depth: number } | undefined
  const arrays = new Map<string, number>()
  for (const [index, line] of text.split('\n').entries()) {
    const header = /^\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(#.*)?$/.exec(line)
    if (header) {
      table = tomlKeys(header[2]!)
      if (header[1] === '[[') {
        const count = arrays.get(table.join('\n')) ?? 0
        arrays.set(table.join('\n'), count + 1)
        table.push(String(count))
      }
    }
    const entry = header ? undefined : /^\s*((?:"[^"]*"|'[^']*'|[\w-]+|\s*\.\s*)+?)\s*=/.exec(line)
    if (!header && !entry) continue
    const here = entry ? [...table, ...tomlKeys(entry[1]!)] : table
    if (here.length > (best?.depth ?? 0) && here.every((segment, depth) => segment === wanted[depth])) {
      best = { place: { line: index + 1, column: line.search(/\S/) + 1 }, depth: here.length }
    }
  }
  return best?.place
}

/** `a."b.c".d` → a, b.c, d */
const tomlKeys = (text: string): string[] =>
  [...text.matchAll(/"([^"]*)"|'([^']*)'|([\w-]+)/g)].map(([, double, single, bare]) => double ?? single ?? bare ?? '')

const firstLine = (text: string): string => text.split('\n')[0]!.replace(/:$/, '')

/** "iron-cage.yaml:12:3" */
export const placed = (name: string, { line, column }: Place): string => `${name}:${line}:${column}`
