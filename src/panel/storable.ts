/**
 * Input of people and machines with characters that no database keeps (`isStorable`) is refused before anything is
 * done; events of a machine are stored without them.
 */

import { CageError } from '../core/errors.ts'
import { isStorable } from '../http/body.ts'

const REPLACEMENT = '\ufffd'

/** The text with U+FFFD in place of what cannot be stored. */
export const storable = (text: string): string => text.toWellFormed().replaceAll('\0', REPLACEMENT)

/** Looks at every text and name in `value`, which is called `what`. Throws CageError `bad_request` that names the field. */
export function requireStorable(value: unknown, what: string): void {
  if (typeof value === 'string' && !isStorable(value)) {
    throw new CageError('bad_request', `${storable(what)}: a text may hold neither U+0000 nor half a surrogate pair`)
  }
  if (typeof value !== 'object' || value === null) return
  for (const [name, inner] of Object.entries(value)) {
    requireStorable(name, `a name in ${what}`)
    requireStorable(inner, `${what}.${name}`)
  }
}
