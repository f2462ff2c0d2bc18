/**
 * The values that a request already contains: an agent that writes a mail to the address in its prompt leaks nothing.
 * The request is read only when something was found in the arguments of a tool, and only for that value.
 */
import type { PiiType } from '../../core/pii-types.ts'
import { emailAddress } from '../../redaction/emails/email-domain.ts'
import { normalizeForCompare } from '../../redaction/text/compare.ts'

/** Values that are remembered. */
const MAX_VALUES = 1_000

export class GivenValues {
  readonly #request: { json(): string }
  #text: string | undefined
  readonly #answers = new Map<string, boolean>()

  constructor(request: { json(): string }) {
    this.#request = request
  }

  /** Whether a value stands in the request whole: not as a part of a longer one. */
  has(type: PiiType, value: string): boolean {
    const key = `${type} ${value}`
    const known = this.#answers.get(key)
    if (known !== undefined) return known
    this.#text ??= withoutEscapes(this.#request.json())
    const isGiven = type === 'email' ? hasAddress(this.#text, emailAddress(value)) : hasNumber(this.#text, type, value)
    if (this.#answers.size === MAX_VALUES) this.#answers.clear()
    this.#answers.set(key, isGiven)
    return isGiven
  }
}

/** The quotes and line breaks of JSON, at any depth, end a value. */
const withoutEscapes = (json: string): string => json.replace(/\\+["'/bfnrt]/g, '  ').toLowerCase()

const BEFORE_ADDRESS = /[\p{L}\p{N}._%+-]/u
const AFTER_ADDRESS = /^(?:[\p{L}\p{N}_-]|\.[\p{L}\p{N}])/u

function hasAddress(text: string, address: string): boolean {
  for (let at = text.indexOf(address); at >= 0; at = text.indexOf(address, at + 1)) {
    const end = at + address.length
    if (!BEFORE_ADDRESS.test(text.charAt(at - 1)) && !AFTER_ADDRESS.test(text.slice(end, end + 2))) return true
  }
  return false
}

/** Between the characters of a number, however it is written. */
const SEPARATORS = '[\\s().+/\\u2010-\\u2015-]{0,3}'

/** The same letters and digits, in any groups; of a phone also without the country code of North America. */
function hasNumber(text: string, type: PiiType, value: string): boolean {
  const characters = [...normalizeForCompare(value).toLowerCase()]
  if (characters.length === 0) return false
  const hasCountry = type === 'phone' && characters.length === 11 && characters[0] === '1'
  const rest = characters.slice(hasCountry ? 1 : 0).join(SEPARATORS)
  const number = hasCountry ? `(?:1${SEPARATORS})?${rest}` : rest
  return new RegExp(`(?<![\\p{L}\\p{N}])${number}(?![\\p{L}\\p{N}])`, 'u').test(text)
}
