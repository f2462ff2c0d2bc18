/** Google's API takes every field in camel case and in snake case. */
import { CageError } from '../../core/errors.ts'
import type { Json, JsonObject } from '../json.ts'

/** Returns the spelling of a field that an object has; the documented one if it has neither. Throws CageError `bad_request`. */
export function spellingOf(object: JsonObject, field: string): string {
  const snake = snakeOf(field)
  if (snake === field || object[snake] === undefined) return field
  if (object[field] === undefined) return snake
  throw new CageError('bad_request', `"${field}" is in the request twice, also as "${snake}"`, { facts: { field } })
}

/** Returns a field in either spelling. Throws CageError `bad_request` if both are there. */
export const fieldOf = (object: JsonObject, field: string): Json | undefined => object[spellingOf(object, field)]

/** Returns fields in both spellings. */
export const bothSpellings = (fields: readonly string[]): string[] => fields.flatMap((name) => [name, snakeOf(name)])

const snakeOf = (field: string): string => field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
