/**
 * JSON from outside. Nothing in a request may mean one thing to us and another to the provider: a body is sent as it
 * came only if it can be read in one way (`isUnambiguous`), and else serialized again as it was understood here.
 */

import { isUtf8 } from 'node:buffer'
import * as ascii from '../core/ascii.ts'
import { CageError } from '../core/errors.ts'

export type Json = string | number | boolean | null | Json[] | JsonObject
export type JsonObject = { [key: string]: Json | undefined }

/** Parses a request's body. Throws CageError `bad_request` if it is not a JSON object. */
export function parseBody(text: string): JsonObject {
  let value: unknown
  try {
    value = parseJson(text, hasLongNumber(text))
  } catch (error) {
    throw notJson(error)
  }
  return requireBody(value)
}

/** Parses any JSON. `hasLongNumbers`: numbers too long for a double keep their digits. Throws SyntaxError. */
export const parseJson = (text: string, hasLongNumbers: boolean): unknown =>
  hasLongNumbers ? JSON.parse(text, keepLongNumbers) : JSON.parse(text)

/** Parses a provider's JSON. Integers too long for a double keep their digits. Throws SyntaxError. */
export const parseReplyJson = (text: string, hasLongIntegers = hasLongNumber(text, true)): unknown =>
  hasLongIntegers ? JSON.parse(text, keepLongIntegers) : JSON.parse(text)

export const notJson = (error: unknown): CageError =>
  new CageError('bad_request', `the request's body is not JSON: ${(error as Error).message}`, { cause: error })

/** Throws CageError `bad_request` if the value is not an object, or is nested too deeply. */
export function requireBody(value: unknown): JsonObject {
  if (!isObject(value)) throw new CageError('bad_request', "the request's body is not a JSON object")
  if (isTooDeep(value)) throw new CageError('bad_request', "the request's body is nested too deeply")
  return value
}

/** Deeper than any call or reply. Deeper values can be parsed, but serializing them overflows the stack. */
export const MAX_DEPTH = 500

export function isTooDeep(value: unknown, left = MAX_DEPTH): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (left === 0) return true
  // By loops: every request and every reply is walked.
  if (Array.isArray(value)) {
    for (const part of value) if (isTooDeep(part, left - 1)) return true
  } else {
    const fields = value as Readonly<Record<string, unknown>>
    for (const name in fields) if (isTooDeep(fields[name], left - 1)) return true
  }
  return false
}

/** Digits that a double may not hold. */
const LONG_NUMBER_DIGITS = 16

/** Looks at every sixteenth character: a long number covers one of them. `isInteger`: digits behind a point are ignored. */
function hasLongNumber(text: string, isInteger = false): boolean {
  for (let at = LONG_NUMBER_DIGITS - 1; at < text.length; at += LONG_NUMBER_DIGITS) {
    if (!isDigit(text, at)) continue
    let [first, last] = [at, at]
    while (isDigit(text, first - 1)) first--
    while (isDigit(text, last + 1)) last++
    const isLong = last - first + 1 >= LONG_NUMBER_DIGITS
    if (isLong && !(isInteger && text.charCodeAt(first - 1) === ascii.DOT)) return true
    at = last
  }
  return false
}

const isDigit = (text: string, at: number): boolean =>
  text.charCodeAt(at) >= ascii.ZERO && text.charCodeAt(at) <= ascii.NINE

/** Returns true if every reader of these bytes finds the value that was parsed from their text. */
export const isUnambiguous = (bytes: Buffer, text: string, value: Json): boolean =>
  isUtf8(bytes) && !hasDuplicates(text, value)

/** Returns whether an object in the text has a name twice: `value` is its parsed form. */
export const hasDuplicates = (text: string, value: Json): boolean => namesIn(text) !== countNames(value)

/** Counts the field names in JSON, those of duplicate fields too: strings before a colon. */
function namesIn(text: string): number {
  let count = 0
  for (let start = text.indexOf('"'); start >= 0; ) {
    let end = endOfString(text, start)
    start = text.indexOf('"', end)
    while (WHITE_SPACE.has(text.charCodeAt(end))) end++
    if (text.charCodeAt(end) === ascii.COLON) count++
  }
  return count
}

/** Returns the end of the string in JSON that begins at `start`. */
export function endOfString(text: string, start: number): number {
  for (let quote = text.indexOf('"', start + 1); ; quote = text.indexOf('"', quote + 1)) {
    let before = quote
    while (text.charCodeAt(before - 1) === ascii.BACKSLASH) before--
    if ((quote - before) % 2 === 0) return quote + 1
  }
}

const WHITE_SPACE = new Set([ascii.SPACE, ascii.TAB, ascii.LINE_FEED, ascii.CARRIAGE_RETURN])

/** Counts the fields of a value that is not nested too deeply. */
function countNames(value: Json | undefined): number {
  if (typeof value !== 'object' || value === null || isRawNumber(value)) return 0
  let count = 0
  if (Array.isArray(value)) {
    // Vectors are numbers by the thousand.
    for (const item of value) if (typeof item === 'object') count += countNames(item)
  } else for (const name in value) count += 1 + countNames(value[name])
  return count
}

// Missing in TypeScript's types: the JSON.parse source text access proposal, in Node since 21.
type WithSource = (key: string, value: unknown, context: { source?: string }) => unknown
declare global {
  interface JSON {
    parse(text: string, reviver: WithSource): unknown
    rawJSON(text: string): object
    isRawJSON(value: unknown): boolean
  }
}

const keepLongNumbers: WithSource = (_key, value, { source }) =>
  typeof value === 'number' && source !== undefined && source !== String(value) && Number.isFinite(value)
    ? JSON.rawJSON(source)
    : value

/** Every other number is written again as it came, or means the same. */
const keepLongIntegers: WithSource = (_key, value, { source }) =>
  typeof value === 'number' && source !== undefined && Math.abs(value) > Number.MAX_SAFE_INTEGER
    ? JSON.rawJSON(source)
    : value

/** True for a number that keeps its digits. */
export const isRawNumber = (value: object): boolean => JSON.isRawJSON(value)

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Returns a positive integer field of a request, null if absent. Throws CageError `bad_request` for other values. */
export function positiveInteger(body: JsonObject, field: string): number | null {
  const value = body[field]
  if (value === undefined || value === null) return null
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1) return value
  throw new CageError('bad_request', `"${field}" must be a positive integer, got ${JSON.stringify(value)}`, {
    facts: { field },
  })
}

/** Throws CageError `bad_request` without a valid model name. */
export function requireModel(body: JsonObject): string {
  const { model } = body
  if (typeof model === 'string' && model.length > 0 && model.length <= 200) return model
  throw new CageError('bad_request', '"model" must be the name of a model', { facts: { field: 'model' } })
}
