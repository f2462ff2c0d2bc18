/**
 * Texts that every database of a panel keeps as they are: PostgreSQL has no place for U+0000, and half a surrogate pair is
 * no character. What people and machines say of themselves is refused with either, before anything is done; what has
 * happened on a machine is stored without.
 */
import { CageError } from '../errors.ts'

const REPLACEMENT = '\ufffd'

export const isStorable = (text: string): boolean => !text.includes('\0') && text.isWellFormed()

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
