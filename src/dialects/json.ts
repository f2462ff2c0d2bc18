/**
 * JSON from outside. The parsed value is what is sent: a request's body is serialized again as it was understood here,
 * so that nothing in it can mean one thing to us and another to the provider.
 */
import { CageError } from '../errors.ts'

export type Json = string | number | boolean | null | Json[] | JsonObject
export type JsonObject = { [key: string]: Json | undefined }

/** Parses a request's body. Throws CageError `bad_request` if it is not a JSON object. */
export function parseBody(bytes: Buffer): JsonObject {
  const text = bytes.toString('utf8')
  let value: unknown
  try {
    value = parseJson(text, LONG_NUMBER.test(text))
  } catch (error) {
    throw notJson(error)
  }
  return requireBody(value)
}

/** Parses any JSON. `hasLongNumbers`: numbers too long for a double keep their digits. Throws SyntaxError. */
export const parseJson = (text: string, hasLongNumbers: boolean): unknown =>
  hasLongNumbers ? JSON.parse(text, keepLongNumbers) : JSON.parse(text)

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

export const isTooDeep = (value: unknown, left = MAX_DEPTH): boolean =>
  typeof value === 'object' &&
  value !== null &&
  (left === 0 || Object.values(value).some((item) => isTooDeep(item, left - 1)))

const LONG_NUMBER = /\d{16}/

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
