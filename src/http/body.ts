/** Reads request bodies and parameters, with errors that name the field. */

import { promisify } from 'node:util'
import { gunzip, type ZlibOptions } from 'node:zlib'
import type { Context } from 'hono'
import * as z from 'zod'
import * as ascii from '../core/ascii.ts'
import { CageError } from '../core/errors.ts'
import { type Nanodollars, parseAmount } from '../core/money.ts'

/** Larger than any checkpoint. */
export const MAX_BODY_BYTES = 2 * 1024 * 1024

/** A form of another site can send text, but not this type. */
const JSON_TYPE = 'application/json'

/**
 * JSON only. Throws CageError `bad_request` or `body_too_large`. `maxBytes`: (Default: 2 MiB.)
 */
export async function readJson<T>(context: Context, schema: z.ZodType<T>, maxBytes = MAX_BODY_BYTES): Promise<T> {
  contentTypeOf(context, [JSON_TYPE])
  return parseJson(schema, (await readWhole(context, maxBytes)).toString('utf8'))
}

/** Throws CageError `bad_request`. */
export function parseJson<T>(schema: z.ZodType<T>, text: string): T {
  let body: unknown
  try {
    requirePlain(text)
    body = JSON.parse(text)
  } catch (error) {
    if (error instanceof CageError) throw error
    throw new CageError('bad_request', 'the body is not JSON', { cause: error })
  }
  return check(schema, body, 'the body')
}

/** The type of the body: one of `types`, without parameters. Throws CageError `bad_request`. */
export function contentTypeOf<const Type extends string>(context: Context, types: readonly Type[]): Type {
  const name = givenTypeOf(context)
  const type = types.find((candidate) => candidate === name)
  if (type !== undefined) return type
  const given = context.req.header('content-type') || 'nothing'
  throw new CageError('bad_request', `the body must be ${types.join(' or ')}, got "${given}"`)
}

/** The type of the body as the request has it, without parameters; empty without one. */
export const givenTypeOf = ({ req }: Context): string =>
  (req.header('content-type') ?? '').split(';')[0]!.trim().toLowerCase()

/**
 * The body, also when it was sent with gzip. `maxBytes`: inflated. Throws CageError `bad_request` or `body_too_large`.
 */
export async function readBytes(context: Context, maxBytes: number): Promise<Buffer> {
  const bytes = await readWhole(context, maxBytes)
  const encoding = context.req.header('content-encoding')?.trim().toLowerCase() ?? 'identity'
  if (encoding === 'identity') return bytes
  if (encoding !== 'gzip') throw new CageError('bad_request', `the body may be encoded with gzip, got "${encoding}"`)
  try {
    return await inflate(bytes, { maxOutputLength: maxBytes })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(maxBytes)
    throw new CageError('bad_request', 'the body is not gzip', { cause })
  }
}

const inflate = promisify<Buffer, ZlibOptions, Buffer>(gunzip)
const tooLarge = (maxBytes: number): CageError =>
  new CageError('body_too_large', `the body is larger than ${maxBytes} bytes`)

/** Throws CageError `bad_request`. */
export const readQuery = <T>(context: Context, schema: z.ZodType<T>): T =>
  check(schema, context.req.query(), 'the query')

async function readWhole({ req }: Context, maxBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of req.raw.body ?? []) {
    bytes += chunk.length
    // A client that is cut off while it sends does not read the refusal: a body slightly too large is read to its end.
    if (bytes > MAX_BODY_BYTES && bytes > maxBytes) break
    if (bytes <= maxBytes) chunks.push(chunk)
  }
  if (bytes > maxBytes) throw tooLarge(maxBytes)
  return Buffer.concat(chunks)
}

/** The name of JSON's nesting levels, as a reader of JSON knows it. */
const MAX_DEPTH = 200
/** A megabyte of empty lists would block the event loop for too long. */
const MAX_VALUES = 100_000

/** Throws CageError `bad_request`. */
function requirePlain(text: string): void {
  let depth = 0
  let values = 1
  let isInText = false
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (isInText) {
      if (code === ascii.BACKSLASH) at++
      else if (code === ascii.QUOTE) isInText = false
    } else if (code === ascii.QUOTE) isInText = true
    else if (code === ascii.OPEN_BRACKET || code === ascii.OPEN_BRACE) depth++
    else if (code === ascii.CLOSE_BRACKET || code === ascii.CLOSE_BRACE) depth--
    else if (code === ascii.COMMA) values++
    if (values > MAX_VALUES) throw new CageError('bad_request', `the body holds more than ${MAX_VALUES} values`)
    if (depth > MAX_DEPTH) throw new CageError('bad_request', `the body is nested more than ${MAX_DEPTH} levels deep`)
  }
}

/** Throws CageError `bad_request` naming each field. */
export function check<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const problems = result.error.issues.map((issue) => `${fieldOf(issue.path) || what}: ${sentenceOf(issue)}`)
  throw new CageError('bad_request', problems.join('; '), { facts: { problems: problems.length } })
}

/** leases[0].spent_usd */
const fieldOf = (path: readonly PropertyKey[]): string =>
  path.reduce<string>((field, key) => {
    if (typeof key === 'number') return `${field}[${key}]`
    return field === '' ? String(key) : `${field}.${String(key)}`
  }, '')

/** The schema's own messages begin in lower case; zod's become sentences. */
function sentenceOf(issue: z.core.$ZodIssue): string {
  if (/^[^A-Z]/.test(issue.message)) return issue.message
  if (issue.code === 'invalid_type') return `expected ${KINDS[issue.expected] ?? issue.expected}`
  if (issue.code === 'invalid_value') return `expected one of ${issue.values.join(', ')}`
  if (issue.code === 'unrecognized_keys') return `unknown: ${issue.keys.join(', ')}`
  if (issue.code === 'too_big') return `expected at most ${issue.maximum}${UNITS[issue.origin] ?? ''}`
  if (issue.code === 'too_small') return `expected at least ${issue.minimum}${UNITS[issue.origin] ?? ''}`
  return issue.message
}

const KINDS: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
}
const UNITS: Readonly<Record<string, string>> = { string: ' characters', array: ' entries', set: ' entries' }

/** A field with an amount in US dollars, parsed to nanodollars. */
export const amount = z
  .union([z.string(), z.number()])
  .transform((value, context): Nanodollars => {
    const nanos = parseAmount(String(value))
    if (nanos !== undefined) return nanos
    context.issues.push({
      code: 'custom',
      input: value,
      message: `expected dollars such as "25" or "25.00", got ${JSON.stringify(value)}`,
    })
    return z.NEVER
  })
  .describe('US dollars such as "25.00" or 25')

/** A new limit of a budget, or by how much it is raised. */
export const BUDGET_CHANGE = z.union([z.strictObject({ limit_usd: amount }), z.strictObject({ add_usd: amount })], {
  error: 'expected { "limit_usd": "75" } or { "add_usd": "25" }',
})

/** Truncated rather than refused: a report must not get lost because of a long name. */
export const shortText = (max: number) => z.string().transform((text) => text.slice(0, max))

/** What every database keeps as it is: PostgreSQL has no place for U+0000, and half a surrogate pair is no character. */
export const isStorable = (text: string): boolean => !text.includes('\0') && text.isWellFormed()
