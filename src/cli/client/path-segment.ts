import { CageError } from '../../core/errors.ts'

/**
 * A typed name or id as one segment of an address. Throws CageError `usage` for what no address can hold: nothing, and "."
 * and "..", which change the path even when they are encoded.
 */
export function pathSegment(typed: string): string {
  if (typed !== '' && typed !== '.' && typed !== '..') return encodeURIComponent(typed)
  throw new CageError('usage', `expected a name or an id, got "${typed}"`)
}
