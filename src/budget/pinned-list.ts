/**
 * A price list that the configuration pins: a file in the format of the public list (an array of its providers), and the
 * SHA-256 of its bytes. Another hash, or one entry that cannot be read, refuses the whole list.
 */
import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { basename } from 'node:path'
import type { Provider } from '@pydantic/genai-prices'
import * as z from 'zod'
import { placed, readYaml } from '../config/file.ts'
import { type Problem, problemLine, problemsOf } from '../config/problems.ts'
import type { Config } from '../config/schema.ts'
import { CageError } from '../core/errors.ts'
import { BUILT_IN_LIST, PriceList } from './price-list.ts'

/** The public list has about two million bytes. */
export const MAX_LIST_BYTES = 33_554_432
const MAX_SHOWN_PROBLEMS = 20

/** Returns the list of the configuration. Throws CageError `price_list_refused`. */
export function openPriceList({ file, sha256, date }: Config['price_list']): PriceList {
  if (file === undefined || sha256 === undefined || date === undefined) return BUILT_IN_LIST
  const bytes = readListFile(file)
  requireHash(bytes, sha256, file)
  return listOf(bytes, { name: basename(file), date })
}

/** Throws CageError `price_list_refused` for a file that cannot be read or is too large. */
export function readListFile(file: string): Buffer {
  try {
    if (statSync(file).size > MAX_LIST_BYTES) throw new Error(`it has more than ${MAX_LIST_BYTES} bytes`)
    return readFileSync(file)
  } catch (cause) {
    throw refused(`${file} cannot be read: ${(cause as Error).message}`, { file }, cause)
  }
}

export const hashOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

/** Throws CageError `price_list_refused` when the bytes have another hash. */
export function requireHash(bytes: Buffer, expected: string, from: string): void {
  const actual = hashOf(bytes)
  if (actual === expected.toLowerCase()) return
  throw refused(`${from} has the SHA-256 ${actual}, not ${expected.toLowerCase()}`, { from, expected, actual })
}

/** Returns the list. Throws CageError `price_list_refused` that names every problem with its line and field. */
export function listOf(bytes: Buffer, { name, date }: { name: string; date: string }): PriceList {
  const text = decoded(bytes, name)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw refused(`${name} is not JSON: ${(cause as Error).message}`, {}, cause)
  }
  const { success, data, error } = listSchema.safeParse(value)
  if (!success) {
    const places = readYaml(text, name)
    const placeOf = (key: readonly (string | number)[]) => {
      const at = places.ok ? places.placeOf(key) : undefined
      return at ? placed(name, at) : name
    }
    throw malformed(name, problemsOf(error.issues, value, placeOf))
  }
  return new PriceList(`${name} of ${date}`, date, data as unknown as Provider[])
}

/** Throws CageError `price_list_refused` when a name stands twice in an object, of which readers take either. */
export function requireUniqueNames(bytes: Buffer, name: string): void {
  const reading = readYaml(decoded(bytes, name), name)
  if (!reading.ok) throw malformed(name, reading.problems)
}

function decoded(bytes: Buffer, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw refused(`${name} is not UTF-8 text`, {}, cause)
  }
}

function malformed(name: string, problems: readonly Problem[]): CageError {
  const lines = problems.slice(0, MAX_SHOWN_PROBLEMS).map(problemLine)
  const more = problems.length > lines.length ? [`and ${problems.length - lines.length} more`] : []
  return refused([`${name} cannot be used`, ...lines, ...more].join('\n'), {})
}

const refused = (message: string, facts: Record<string, string | number>, cause?: unknown): CageError =>
  new CageError('price_list_refused', message, { facts, cause })

const amountExpected = 'dollars, a number from 0 to 1000000, or { base, tiers }'
const amount = z
  .number({ error: amountExpected })
  .min(0, { error: amountExpected })
  .max(1_000_000, { error: amountExpected })
const tokensExpected = 'a number of tokens'
const tokens = z.number({ error: tokensExpected }).int({ error: tokensExpected }).min(0, { error: tokensExpected })
const steps = z.strictObject({ base: amount, tiers: z.array(z.strictObject({ start: tokens, price: amount })) })

/** One of two schemas, whose problems are named in full; a union names only itself. */
const either = (isFirst: (value: unknown) => boolean, first: z.ZodType, second: z.ZodType): z.ZodType =>
  z.unknown().superRefine((value, context) => {
    const { error } = (isFirst(value) ? first : second).safeParse(value)
    for (const issue of error?.issues ?? []) context.addIssue({ ...issue })
  })
const prices = z.record(
  z.string(),
  either((value) => typeof value === 'object', steps, amount),
)

const isRegex = (source: string): boolean => {
  try {
    return Boolean(new RegExp(source))
  } catch {
    return false
  }
}
const matchExpected = 'a condition on the name: equals, starts_with, ends_with, contains, regex, and, or'
const match: z.ZodType = z.lazy(() =>
  z.union(
    [
      ...['equals', 'starts_with', 'ends_with', 'contains'].map((kind) => z.strictObject({ [kind]: z.string() })),
      z.strictObject({ regex: z.string().refine(isRegex) }),
      z.strictObject({ or: z.array(match) }),
      z.strictObject({ and: z.array(match) }),
    ],
    { error: matchExpected },
  ),
)

const day = z.iso.date({ error: 'a day such as 2026-11-21' })
const timeExpected = 'a time of day with its zone such as 08:00:00Z'
const time = z
  .string({ error: timeExpected })
  .regex(/^\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/, { error: timeExpected })
const constraint = z.union(
  [
    z.strictObject({ type: z.literal('start_date').optional(), start_date: day }),
    z.strictObject({ type: z.literal('time_of_date').optional(), start_time: time, end_time: time }),
  ],
  { error: 'a day on which the prices begin, or the times of day between which they apply' },
)
const conditional = z.strictObject({ constraint: constraint.optional(), prices })

/** The part of the list that is read. Names, comments and addresses are not checked: they decide about no price. */
const listSchema = z
  .array(
    z.looseObject({
      id: z.string().min(1),
      models: z.array(
        z.looseObject({
          id: z.string().min(1),
          match,
          context_window: tokens.optional(),
          prices: either(Array.isArray, z.array(conditional).min(1), prices),
        }),
      ),
    }),
    { error: 'a list of providers' },
  )
  .min(1)
