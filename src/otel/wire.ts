/** The parts that all messages of OpenTelemetry are made of, as protobuf and as JSON, read within bounds. */
import { PbfReader } from 'pbf'
import * as z from 'zod'
import { CageError } from '../core/errors.ts'
import type { ReceivedAttributes as Attributes } from '../core/events.ts'

/** Messages within one: a megabyte of empty ones would block the event loop for too long. */
const MAX_PARTS = 100_000
const MAX_TEXT = 200

/** A value of one plain type, undefined for another one. */
type Plain = string | number | boolean | undefined

type Field = (pbf: PbfReader) => void

/** Reads each message within its own bytes: a wrong length cannot reach beyond them, and nothing nests deeper than is read. */
export class Reader {
  #parts = 0

  /** Fields that are not named are skipped. */
  read(bytes: Uint8Array, fields: Readonly<Record<number, Field>>): void {
    this.#parts += 1
    if (this.#parts > MAX_PARTS) throw tooMany(MAX_PARTS, 'parts')
    const pbf = new PbfReader(bytes)
    for (let number = pbf.nextField(); number !== 0; number = pbf.nextField()) fields[number]?.(pbf)
    if (pbf.pos !== pbf.length) throw new RangeError('a field is longer than its message')
  }
}

// The types of the wire. A field of another type than it should have is skipped.
const [VARINT, FIXED64, BYTES] = [0, 1, 2]
export const field =
  (use: (bytes: Uint8Array) => void): Field =>
  (pbf) => {
    if (pbf.type === BYTES) use(pbf.readBytes())
  }
export const fixed64 =
  (use: (value: number) => void): Field =>
  (pbf) => {
    if (pbf.type === FIXED64) use(pbf.readFixed64())
  }
export const varint =
  (use: (value: number) => void): Field =>
  (pbf) => {
    if (pbf.type === VARINT) use(pbf.readVarint(true))
  }

const double =
  (use: (value: number) => void): Field =>
  (pbf) => {
    if (pbf.type === FIXED64) use(pbf.readDouble())
  }

export const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes.subarray(0, 17)).toString('hex')
export const textOf = (bytes: Uint8Array): string => Buffer.from(bytes.subarray(0, 4 * MAX_TEXT)).toString('utf8')

/** The received message. */
export interface Received<Item> {
  items: Item[]
  /** Items that are not valid, which are left out. */
  rejected: number
}

/** Keys of attributes that are kept, with their new names. */
export type KeptKeys = ReadonlyMap<string, string>

export function readAttribute(reader: Reader, bytes: Uint8Array, attributes: Attributes, kept: KeptKeys): void {
  let key = ''
  let content: Uint8Array | undefined
  reader.read(bytes, {
    1: field((text) => {
      key = textOf(text)
    }),
    2: field((value) => {
      content = value
    }),
  })
  const name = kept.get(key)
  if (content && name !== undefined) keep(attributes, name, readValue(reader, content))
}

/** Lists, maps and bytes are of no plain type. */
function readValue(reader: Reader, bytes: Uint8Array): Plain {
  let value: Plain
  reader.read(bytes, {
    1: field((text) => {
      value = textOf(text)
    }),
    2: varint((flag) => {
      value = flag !== 0
    }),
    3: varint((int) => {
      value = int
    }),
    4: double((number) => {
      value = number
    }),
  })
  return value
}

/** A whole number of 64 bits, which JSON has as text. */
const LONG = z.union([z.string().max(30), z.number()]).transform(Number)
/** Nanoseconds since 1970. */
export const NANOS = LONG.default(0)
const VALUE = z.object({
  stringValue: z.string().optional().catch(undefined),
  boolValue: z.boolean().optional().catch(undefined),
  intValue: LONG.optional().catch(undefined),
  doubleValue: z.number().optional().catch(undefined),
})
export const ATTRIBUTES = z.array(z.object({ key: z.string(), value: z.unknown() })).default([])

/** The same of what JSON has. */
export function keptOf(given: z.output<typeof ATTRIBUTES>, kept: KeptKeys): Attributes {
  const attributes: Attributes = {}
  for (const { key, value } of given) {
    const name = kept.get(key)
    if (name !== undefined) keep(attributes, name, plainOf(value))
  }
  return attributes
}

function plainOf(value: unknown): Plain {
  const { data } = VALUE.safeParse(value)
  return data?.stringValue ?? data?.boolValue ?? data?.intValue ?? data?.doubleValue
}

function keep(attributes: Attributes, name: string, value: Plain): void {
  if (typeof value === 'string') attributes[name] = shortened(value)
  else if (typeof value === 'boolean' || (value !== undefined && isPlainNumber(value))) attributes[name] = value
}

/** Larger ones would be rounded. */
const isPlainNumber = (value: number): boolean => Math.abs(value) <= Number.MAX_SAFE_INTEGER
export const shortened = (text: string): string => text.slice(0, MAX_TEXT).toWellFormed()

/** The last millisecond of the year 9999. */
export const MAX_MS = 253_402_300_799_999

export const tooMany = (max: number, what: string): CageError =>
  new CageError('bad_request', `a request holds at most ${max} ${what}`)

/** One item of a JSON message. Whole messages are not parsed at once: most of a very long one is never read. Throws CageError `bad_request`. */
export function parsed<T>(schema: z.ZodType<T>, item: unknown, what: string): T {
  const { success, data, error } = schema.safeParse(item)
  if (success) return data
  const problems = error.issues.map(({ path, message }) => `${path.join('.') || what}: ${message}`)
  throw new CageError('bad_request', problems.slice(0, MAX_PROBLEMS).join('; '))
}

const MAX_PROBLEMS = 5

/** Throws CageError `bad_request` for bytes that are no message. */
export function readMessage(read: (reader: Reader) => void): void {
  try {
    read(new Reader())
  } catch (cause) {
    if (cause instanceof CageError) throw cause
    throw new CageError('bad_request', 'the body is no message of OpenTelemetry', { cause })
  }
}
