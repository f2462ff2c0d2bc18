/**
 * Large JSON without holding anybody up. The event loop is never kept longer than a few ms at a time: long strings are
 * read and written in slices, and what has more parts than any call or answer is refused before it is parsed.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { CageError } from '../errors.ts'
import { isTooDeep, type Json, type JsonObject, notJson, parseBody, parseJson, requireBody } from './json.ts'

/** From here on JSON is large. */
export const LARGE_BYTES = 256 * 1024
/** A string literal that is longer is read and written by itself, in slices of so many bytes or characters. */
const LONG_BYTES = 64 * 1024
const SLICE = 512 * 1024
/** How long one slice of work may take, in ms. */
const SLICE_MS = 5
/**
 * What may be in one text: a number costs 10, a list or an object 50, a field 100. That is some 20,000 messages, or half a
 * million token ids; a parser takes about 30 ms for it.
 */
const MAX_COST = 5_000_000
const NUMBER_COST = 10
/** Of what a provider wrote: embeddings are numbers by the million. They need not keep their digits. */
const REPLY_NUMBER_COST = 1
const COSTS = new Uint8Array(256)
for (const [character, cost] of Object.entries({ '[': 40, '{': 40, ':': 90 })) COSTS[character.charCodeAt(0)] = cost
/** Of a number with more digits than a double holds: each is parsed by a function of ours. */
const LONG_NUMBER_COST = 250
const LONG_NUMBER_DIGITS = 16

const [QUOTE, COMMA, BACKSLASH, COLON, SMALL_U] = [0x22, 0x2c, 0x5c, 0x3a, 0x75]

/** A text that has more parts than `MAX_COST` allows. */
export class TooManyParts extends Error {
  override readonly name = 'TooManyParts'
}

/** Gives the event loop its turn whenever a slice of work is over. */
export class Pace {
  #since = performance.now()

  async rest(): Promise<void> {
    if (performance.now() - this.#since < SLICE_MS) return
    await nextTurn()
    this.#since = performance.now()
  }
}

/** Parses a request's body of any size as `parseBody` does. Throws CageError `body_too_large` for too many parts, too. */
export async function parseAnyBody(bytes: Buffer): Promise<JsonObject> {
  if (bytes.length < LARGE_BYTES) return parseBody(bytes)
  const value = await parseLargeJson(bytes).catch((error) => {
    if (!(error instanceof TooManyParts)) throw notJson(error)
    throw new CageError('body_too_large', "the request's body has more parts than any call", {
      hint: 'send fewer messages, fields or numbers in one call',
      cause: error,
    })
  })
  return requireBody(value)
}

/** Parses JSON as `parseJson` does. Throws TooManyParts, and SyntaxError for what is no JSON. */
export async function parseLargeJson(bytes: Buffer, isReply = false): Promise<unknown> {
  const pace = new Pace()
  const scan = new Scan(bytes, isReply)
  for (const _ of scan.run()) await pace.rest()
  const mark = `${crypto.randomUUID()}:`
  const rest: Buffer[] = []
  const texts: string[] = []
  let from = 0
  for (const { start, end, cuts } of scan.literals) {
    rest.push(bytes.subarray(from, start), Buffer.from(`"${mark}${texts.length}"`))
    texts.push(await readLiteral(bytes, start, end, cuts))
    from = end
  }
  rest.push(bytes.subarray(from))
  const text = Buffer.concat(rest).toString('utf8')
  await nextTurn()
  const value = parseJson(text, scan.hasLongNumbers)
  // Whoever asked refuses what is too deep.
  return texts.length === 0 || isTooDeep(value) ? value : restore(value as Json, (held) => heldText(held, mark, texts))
}

const heldText = (held: string, mark: string, texts: readonly string[]): string =>
  held.startsWith(mark) ? texts[Number(held.slice(mark.length))]! : held

/** Puts texts back in place. The value is ours alone, so it is changed. */
function restore(value: Json, textOf: (held: string) => string): Json {
  if (typeof value === 'string') return textOf(value)
  if (typeof value !== 'object' || value === null || JSON.isRawJSON(value)) return value
  const fields = value as { [key: string]: Json }
  for (const name of Object.keys(fields)) {
    const item = fields[name]!
    // What is set by assignment must not be the prototype.
    if (typeof item === 'string' || typeof item === 'object') {
      const restored = restore(item, textOf)
      if (restored !== item)
        Object.defineProperty(fields, name, { value: restored, writable: true, enumerable: true, configurable: true })
    }
  }
  return value
}

/** A long string literal: from its first quote to after its last, and where it may be cut. */
interface Literal {
  start: number
  end: number
  cuts: number[]
}

/** Looks through JSON: counts its parts, finds its long strings. */
class Scan {
  readonly literals: Literal[] = []
  hasLongNumbers = false
  readonly #bytes: Buffer
  readonly #costs: Uint8Array
  readonly #longDigits: number
  #cost = 0
  #steps = 0
  /** The next one from where the scan is; beyond the end when there is none. */
  #backslash = -1

  constructor(bytes: Buffer, isReply: boolean) {
    this.#bytes = bytes
    this.#costs = COSTS.slice()
    this.#costs[COMMA] = isReply ? REPLY_NUMBER_COST : NUMBER_COST
    this.#longDigits = isReply ? Number.POSITIVE_INFINITY : LONG_NUMBER_DIGITS
  }

  /** Yields now and then, for others to have their turn. Throws TooManyParts. */
  *run(): Generator<void> {
    const bytes = this.#bytes
    let digits = 0
    for (let at = 0; at < bytes.length; at++) {
      if (this.#isPause()) yield
      const code = bytes[at]!
      if (code === QUOTE) {
        const quote = this.#find(QUOTE, at + 1)
        at = this.#isPlain(at + 1, quote) ? quote : yield* this.#long(at)
        continue
      }
      digits = code >= 0x30 && code <= 0x39 ? digits + 1 : 0
      this.#cost += digits === this.#longDigits ? LONG_NUMBER_COST : this.#costs[code]!
      this.hasLongNumbers ||= digits === this.#longDigits
      if (this.#cost > MAX_COST) throw new TooManyParts('it has too many parts')
    }
  }

  /** A short string without escapes: most are. */
  #isPlain(from: number, quote: number): boolean {
    if (this.#backslash < from) this.#backslash = this.#find(BACKSLASH, from)
    return quote < this.#backslash && quote - from < LONG_BYTES
  }

  /** Goes through the string that begins at `start`; returns the position of its last quote. */
  *#long(start: number): Generator<void, number> {
    const bytes = this.#bytes
    const cuts: number[] = []
    let [at, sliceFrom, quote] = [start + 1, start + 1, -1]
    for (;;) {
      if (this.#isPause()) yield
      if (quote < at) quote = this.#find(QUOTE, at)
      if (this.#backslash < at) this.#backslash = this.#find(BACKSLASH, at)
      const next = Math.min(quote, this.#backslash)
      // Up to there no character is written in more than one.
      while (next - sliceFrom > SLICE) {
        sliceFrom = characterStart(bytes, Math.max(at, sliceFrom + SLICE))
        cuts.push(sliceFrom)
      }
      if (next === quote) break
      at = next + (bytes[next + 1] === SMALL_U ? 6 : 2)
    }
    if (quote - start < LONG_BYTES) return quote
    // No field has such a name.
    if (nextCode(bytes, quote + 1) === COLON) throw new TooManyParts('the name of a field is too long')
    this.literals.push({ start, end: Math.min(bytes.length, quote + 1), cuts })
    return quote
  }

  #find(code: number, from: number): number {
    const found = this.#bytes.indexOf(code, from)
    return found === -1 ? this.#bytes.length : found
  }

  #isPause(): boolean {
    this.#steps += 1
    return (this.#steps & 0xfff) === 0
  }
}

/** The beginning of the UTF-8 character that a position is in. */
function characterStart(bytes: Buffer, at: number): number {
  let start = at
  while (at - start < 3 && (bytes[start]! & 0xc0) === 0x80) start -= 1
  return start
}

function nextCode(bytes: Buffer, from: number): number | undefined {
  let at = from
  while (at < bytes.length && bytes[at]! <= 0x20) at++
  return bytes[at]
}

async function readLiteral(bytes: Buffer, start: number, end: number, cuts: readonly number[]): Promise<string> {
  const edges = [start + 1, ...cuts, end - 1]
  const parts: string[] = []
  for (let i = 0; i + 1 < edges.length; i++) {
    parts.push(JSON.parse(`"${bytes.toString('utf8', edges[i], edges[i + 1])}"`) as string)
    await nextTurn()
  }
  return parts.join('')
}

/** Writes JSON as `JSON.stringify` does, in UTF-8. */
export async function writeLargeJson(value: Json | JsonObject): Promise<Buffer> {
  const pace = new Pace()
  const pieces: Buffer[] = []
  const large = new Set<object>()
  measure(value, large)
  for (const piece of write(value, large)) {
    pieces.push(Buffer.from(piece))
    await pace.rest()
  }
  return Buffer.concat(pieces)
}

/** About how many characters a value is written with; containers of many are put into `large`. */
function measure(value: Json | undefined, large: Set<object>): number {
  if (typeof value === 'string') return value.length + 2
  if (typeof value !== 'object' || value === null) return 8
  let size = 2
  const fields = value as JsonObject
  for (const name in fields) size += name.length + 4 + measure(fields[name], large)
  if (size > LONG_BYTES) large.add(value)
  return size
}

function* write(value: Json, large: ReadonlySet<object>): Generator<string> {
  if (typeof value === 'string' && value.length > LONG_BYTES) yield* writeLong(value)
  else if (typeof value !== 'object' || value === null || !large.has(value)) yield JSON.stringify(value)
  else if (Array.isArray(value)) {
    yield '['
    for (const [index, item] of value.entries()) {
      if (index > 0) yield ','
      yield* write(item, large)
    }
    yield ']'
  } else {
    yield '{'
    let separator = ''
    for (const [name, item] of Object.entries(value)) {
      if (item === undefined) continue
      yield `${separator}${JSON.stringify(name)}:`
      separator = ','
      yield* write(item, large)
    }
    yield '}'
  }
}

function* writeLong(text: string): Generator<string> {
  yield '"'
  for (let from = 0; from < text.length; ) {
    let to = Math.min(text.length, from + SLICE)
    // A pair of surrogates is one character.
    if (/[\ud800-\udbff]/.test(text[to - 1]!) && to < text.length) to -= 1
    yield JSON.stringify(text.slice(from, to)).slice(1, -1)
    from = to
  }
  yield '"'
}
