/** Large JSON. A value with too many parts is refused before it is parsed. */

import { StringDecoder } from 'node:string_decoder'
import * as ascii from '../core/ascii.ts'
import { CageError } from '../core/errors.ts'
import { type JsonObject, notJson, parseJson, requireBody } from './json.ts'

/**
 * Maximum cost of one text: a number costs 10, a list or an object 50, a field 100. That is some 20,000 messages, or
 * half a million token ids.
 */
const MAX_COST = 5_000_000
const NUMBER_COST = 10
/** In replies: embeddings are numbers by the million. Of their long numbers only integers need to keep their digits. */
const REPLY_NUMBER_COST = 1
const COSTS = new Uint8Array(256)
for (const [character, cost] of Object.entries({ '[': 40, '{': 40, ':': 90 })) COSTS[character.charCodeAt(0)] = cost
/** For a number with more digits than a double holds: each is parsed by a function of ours. */
const LONG_NUMBER_COST = 250
const LONG_NUMBER_DIGITS = 16

/** The text has more parts than `MAX_COST` allows. */
export class TooManyParts extends Error {
  override readonly name = 'TooManyParts'
}

/** Parses a large request's body like `parseBody`. Also throws CageError `body_too_large` for too many parts. */
export const parseLargeBody = (bytes: Buffer): JsonObject => requireBody(parseLargeJson(bytes))

/** Like `parseLargeBody`, for any JSON. */
export function parseLargeJson(bytes: Buffer): unknown {
  try {
    return parseJson(decoded(bytes), requireFewParts(bytes, false))
  } catch (error) {
    if (!(error instanceof TooManyParts)) throw notJson(error)
    throw new CageError('body_too_large', "the request's body has too many parts", {
      hint: 'send fewer messages, fields or numbers in one call',
      cause: error,
    })
  }
}

/** Throws TooManyParts. Returns whether any number has more digits than a double holds; with `isReply`, any integer. */
export function requireFewParts(bytes: Buffer, isReply: boolean): boolean {
  const commaCost = isReply ? REPLY_NUMBER_COST : NUMBER_COST
  const digitsBehindPoint = isReply ? Number.NEGATIVE_INFINITY : 0
  let [cost, digits, hasLongNumbers] = [0, 0, false]
  for (let at = 0; at < bytes.length; at++) {
    const code = bytes[at]!
    if (code === ascii.QUOTE) {
      at = endOfString(bytes, at)
      continue
    }
    digits = code >= ascii.ZERO && code <= ascii.NINE ? digits + 1 : code === ascii.DOT ? digitsBehindPoint : 0
    const isLong = digits === LONG_NUMBER_DIGITS
    hasLongNumbers ||= isLong
    cost += isLong ? LONG_NUMBER_COST : code === ascii.COMMA ? commaCost : COSTS[code]!
    if (cost > MAX_COST) throw new TooManyParts('too many parts')
  }
  return hasLongNumbers
}

/** Returns the closing quote of the string that begins at `start`, or the end of the text. */
function endOfString(bytes: Buffer, start: number): number {
  for (let quote = bytes.indexOf(ascii.QUOTE, start + 1); quote >= 0; quote = bytes.indexOf(ascii.QUOTE, quote + 1)) {
    let before = quote
    while (bytes[before - 1] === ascii.BACKSLASH) before -= 1
    if ((quote - before) % 2 === 0) return quote
  }
  return bytes.length
}

/** Bytes decoded at once: longer strings would be stored outside the heap. */
const PIECE_BYTES = 512 * 1024

/** Like `bytes.toString`, but the text is always in the heap, which is freed with its thread. */
export function decoded(bytes: Buffer, encoding: 'utf8' | 'latin1' = 'utf8'): string {
  if (bytes.length <= PIECE_BYTES) return bytes.toString(encoding)
  const decoder = new StringDecoder(encoding)
  let text = ''
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) text += decoder.write(bytes.subarray(at, at + PIECE_BYTES))
  return text + decoder.end()
}
