/** Turns the schema's issues into sentences: place, key, expected and given value, and a suggestion. */
import * as z from 'zod'
import { CageError } from '../core/errors.ts'
import { configSchema } from './schema.ts'

/** A path of keys: ['services', 'linkedin_api', 'retries']. */
export type Key = readonly (string | number)[]

export interface Problem {
  /** "iron-cage.yaml:12:3", "--port", "IRON_CAGE_PORT" */
  place: string
  /** "services.linkedin_api.retries"; '' for the file as a whole. */
  key: string
  /** "expected …, got …" */
  what: string
}

/** All problems of the configuration at once. */
export class InvalidConfigError extends CageError {
  override readonly name = 'InvalidConfigError'
  readonly problems: readonly Problem[]
  /** `what` has them. (Default: the configuration.) `hint`: as of CageError. */
  constructor(
    problems: readonly Problem[],
    { what = 'the configuration', hint }: { what?: string; hint?: string } = {},
  ) {
    const many = problems.length > 1 ? `${what} has ${problems.length} problems` : `${what} is wrong`
    super('invalid_config', [many, ...problems.map(problemLine)].join('\n'), { hint })
    this.problems = problems
  }
}

export const problemLine = ({ place, key, what }: Problem): string => `${place}: ${key && `${key}: `}${what}`

/** Returns the origin of a key's value, or of the key itself. */
export type PlaceOf = (key: Key) => string

/** Returns one problem per invalid key, in the order of the file. */
export function problemsOf(issues: readonly z.core.$ZodIssue[], value: unknown, placeOf: PlaceOf): Problem[] {
  const problems = new Map<string, Problem>()
  const add = (key: Key, what: string) => {
    const text = keyText(key)
    if (!problems.has(text)) problems.set(text, { place: placeOf(key), key: text, what })
  }
  for (const issue of issues) {
    const key = issue.path as Key
    if (issue.code === 'unrecognized_keys') {
      for (const name of issue.keys) add([...key, name], unknownKey(key, name))
    } else if (issue.code === 'invalid_key') {
      add(key, `expected ${issue.issues[0]?.message} as key`)
    } else {
      const came = valueAt(value, key)
      const near = issue.code === 'invalid_value' && nearest(String(came), issue.values.map(String))
      add(key, `expected ${expected(issue)}, got ${shown(key, came)}${near ? `; did you mean ${near}?` : ''}`)
    }
  }
  return [...problems.values()].sort((a, b) => a.place.localeCompare(b.place, 'en', { numeric: true }))
}

/** prices["gpt-3.5-turbo"].input_per_mtok, alerts.webhooks[0].url */
export const keyText = (key: Key): string =>
  key
    .map((segment, index) =>
      typeof segment === 'number'
        ? `[${segment}]`
        : /^[\w-]+$/.test(segment)
          ? `${index > 0 ? '.' : ''}${segment}`
          : `[${JSON.stringify(segment)}]`,
    )
    .join('')

export function valueAt(value: unknown, key: Key): unknown {
  let at = value
  for (const segment of key) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, segment)) return undefined
    at = (at as Record<string | number, unknown>)[segment]
  }
  return at
}

/** The schema's own messages begin in lower case; zod's are replaced by more specific ones. */
function expected(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_value') {
    return issue.values.length > 8
      ? `a known one such as ${String(issue.values[0])}`
      : `one of ${issue.values.join(', ')}`
  }
  if (/^[^A-Z]/.test(issue.message)) return issue.message
  if (issue.code === 'too_small') return 'at least one entry'
  return (issue.code === 'invalid_type' && KINDS[issue.expected]) || issue.message
}

const KINDS: Record<string, string> = {
  object: 'keys with values',
  record: 'keys with values',
  array: 'a list',
  string: 'text',
  boolean: 'true or false',
}

/** The given value. Never one that may be secret: an agent's environment, a signature's key, a password in a URL. */
function shown(key: Key, value: unknown): string {
  if (value === undefined) return 'nothing'
  if (value === null) return 'an empty value'
  if (Array.isArray(value)) return 'a list'
  if (value instanceof Date) return 'a date'
  if (typeof value === 'object') return 'keys with values'
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
    const masked = maskSecret(key, value)
    if (masked === HIDDEN) return `a ${typeof value} that is not shown`
    if (masked !== value) return JSON.stringify(masked)
    return typeof value === 'string'
      ? JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value)
      : String(value)
  }
  return `a ${typeof value}`
}

const HIDDEN = '(hidden)'

/** Returns the value for display: whole, in part, or "(hidden)". */
export function maskSecret<T>(key: Key, value: T): T | string {
  const path = key.join('.')
  // Programs take keys as arguments.
  if (path === 'agent.args' && Array.isArray(value) && value.length > 0) return HIDDEN
  if (/^agent\.env\.|^otel\.headers\.|^alerts\.webhooks\.\d+\.secret$/.test(path)) return HIDDEN
  if (typeof value !== 'string') return value
  // The path of a webhook's URL is often the secret.
  if (/^alerts\.webhooks\.\d+\.url$/.test(path))
    return value.replace(/^([a-z]+:\/\/)(?:[^/@]*@)?([^/?#]*).+$/i, '$1$2/…')
  return value.replace(/^([a-z]+:\/\/[^/:@]*):[^/@]*@/i, `$1:${HIDDEN}@`)
}

function unknownKey(parent: Key, name: string): string {
  const siblings = keysBelow(schemaAt(configSchema, parent))
  // A part of the configuration, such as a policy, does not have all of its keys.
  if (siblings.includes(name)) return 'it cannot be set here'
  const near = nearest(name, siblings)
  if (near) return `unknown key; did you mean ${keyText([...parent, near])}?`
  const elsewhere = allKeys(configSchema).filter((key) => key.at(-1) === name)
  if (elsewhere.length === 1) return `unknown key here; did you mean ${keyText(elsewhere[0]!)}?`
  return `unknown key; expected one of ${siblings.join(', ')}`
}

/** Returns the candidate that was most likely meant, if any is close enough. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const plain = (text: string) => text.toLowerCase().replace(/[^a-z0-9]/g, '')
  const maxDistance = Math.max(1, Math.floor(word.length / 3))
  return candidates
    .map((candidate) => ({ candidate, distance: editDistance(plain(word), plain(candidate)) }))
    .filter(({ distance }) => distance <= maxDistance)
    .sort((a, b) => a.distance - b.distance)[0]?.candidate
}

/** Insertions, deletions, substitutions and swaps of neighbors that turn one text into the other. */
function editDistance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, column) => column)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const swap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      row.push(
        Math.min(
          rows[i - 1]![j]! + 1,
          row[j - 1]! + 1,
          rows[i - 1]![j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1),
          swap ? rows[i - 2]![j - 2]! + 1 : Number.POSITIVE_INFINITY,
        ),
      )
    }
    rows.push(row)
  }
  return rows[a.length]![b.length]!
}

/** Returns the schema of a key, without its defaults. */
function schemaAt(schema: z.core.$ZodType, key: Key): z.core.$ZodType | undefined {
  const bare = unwrapped(schema)
  const [head, ...rest] = key
  if (head === undefined) return bare
  if (bare instanceof z.ZodObject) {
    const below = (bare.shape as Record<string, z.core.$ZodType>)[String(head)]
    return below && schemaAt(below, rest)
  }
  if (bare instanceof z.ZodRecord) return schemaAt(bare.valueType as z.core.$ZodType, rest)
  if (bare instanceof z.ZodArray) return schemaAt(bare.element as z.core.$ZodType, rest)
  return undefined
}

/** Returns the schema without its default. */
export function unwrapped(schema: z.core.$ZodType): z.core.$ZodType {
  return schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional
    ? unwrapped(schema.def.innerType as z.core.$ZodType)
    : schema
}

function keysBelow(schema: z.core.$ZodType | undefined): string[] {
  if (schema instanceof z.ZodObject) return Object.keys(schema.shape)
  // A record with named keys: safety.modes.
  if (schema instanceof z.ZodRecord && schema.keyType instanceof z.ZodEnum) return schema.keyType.options.map(String)
  return []
}

function allKeys(schema: z.core.$ZodType, parent: Key = []): Key[] {
  const bare = unwrapped(schema)
  if (!(bare instanceof z.ZodObject)) return [parent]
  return Object.entries(bare.shape as Record<string, z.core.$ZodType>).flatMap(([name, below]) =>
    allKeys(below, [...parent, name]),
  )
}
