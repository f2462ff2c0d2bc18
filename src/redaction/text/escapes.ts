/**
 * Escapes that stand for plain characters: of URLs (`%40`, twice `%2540`), JSON and programs (`\u0040`, `\x40`,
 * `\u{40}`, in JSON within JSON `\\u0040`), HTML (`&#64;`, `&commat;`) and mail (`=40`).
 */
import * as ascii from '../../core/ascii.ts'
import { isAlphanumeric } from './characters.ts'

/** No character: the end of the text, or not an escape. */
export const NONE = 0

/** Maximum length of an HTML entity, without & and ;. */
export const MAX_ENTITY = 7

const ENTITY_NAMES = new Map([
  ['commat', ascii.AT],
  ['period', ascii.DOT],
  ['plus', ascii.PLUS],
  ['lowbar', ascii.UNDERSCORE],
  ['nbsp', ascii.SPACE],
])

/** Returns the value of a hexadecimal digit, or -1. */
export function hexValue(code: number): number {
  if (code >= ascii.ZERO && code <= ascii.NINE) return code - ascii.ZERO
  const lower = code | ascii.LOWER_CASE
  return lower >= ascii.LOWER_A && lower <= ascii.LOWER_F ? lower - ascii.LOWER_A + 10 : -1
}

/** Returns the character of an HTML entity at [start, end), without & and ;, or NONE. */
export function entityCode(text: string, start: number, end: number): number {
  if (text.charCodeAt(start) !== ascii.HASH) return ENTITY_NAMES.get(text.slice(start, end)) ?? NONE
  const isHex = (text.charCodeAt(start + 1) | ascii.LOWER_CASE) === ascii.LOWER_X
  let value = 0
  for (let i = start + (isHex ? 2 : 1); i < end; i++) {
    const digit = hexValue(text.charCodeAt(i))
    if (digit < 0 || (digit > 9 && !isHex)) return NONE
    value = value * (isHex ? 16 : 10) + digit
  }
  return value
}

/** Only plain characters are decoded; others are taken literally. */
export function isPlain(code: number): boolean {
  return code >= ascii.SPACE && code < ascii.DELETE
}

/** A semicolon, a brace or a hexadecimal digit: no escape ends in anything else. */
export function mayEndEscape(last: number): boolean {
  return last === ascii.SEMICOLON || last === ascii.CLOSE_BRACE || hexValue(last) >= 0
}

/** URLs are escaped again with each URL that they are put into, as JSON is within JSON. */
export const MAX_NESTED = 3
/** Backslashes before an escape that is nested so often. */
export const MAX_SLASHES = 2 ** MAX_NESTED

/** Mail writes only some characters of addresses as an equals sign and two digits. */
export const isOfMail = ascii.oneOf('@._-+')

/** The character that an escape stands for, and how long the escape is. */
export interface Escape {
  code: number
  length: number
}

/** Returns the escape that ends at a position; null without one. */
export function escapeBefore(text: string, end: number): Escape | null {
  if (end < 3) return null
  const last = text.charCodeAt(end - 1)
  if (last === ascii.SEMICOLON) return entityBefore(text, end)
  if (last === ascii.CLOSE_BRACE) return bracedBefore(text, end)
  const low = hexValue(last)
  if (low < 0) return null
  const code = hexValue(text.charCodeAt(end - 2)) * 16 + low
  return isPlain(code) ? escapeOf(code, hexLength(text, end, code)) : null
}

const escapeOf = (code: number, length: number): Escape | null => (length > 0 ? { code, length } : null)

/** The length of an escape whose two last digits end at a position; 0 if there is none. */
function hexLength(text: string, end: number, code: number): number {
  const before = text.charCodeAt(end - 3)
  if (before === ascii.PERCENT) return 3
  if (before === ascii.EQUALS) return isOfMail(code) ? 3 : 0
  if (before === ascii.LOWER_X) return lengthWithSlashes(text, end, end - 3)
  if (before === ascii.ZERO) return text.startsWith('u00', end - 5) ? lengthWithSlashes(text, end, end - 5) : 0
  let digits = end - 2
  for (let nested = 0; nested < MAX_NESTED && text.startsWith('25', digits - 2); nested++) digits -= 2
  return digits < end - 2 && text.charCodeAt(digits - 1) === ascii.PERCENT ? end - digits + 1 : 0
}

/** `\u{40}` */
function bracedBefore(text: string, end: number): Escape | null {
  const found = BRACED.exec(text.slice(Math.max(0, end - MAX_BRACED), end))
  if (!found) return null
  const code = Number.parseInt(found[1]!, 16)
  return isPlain(code) ? escapeOf(code, lengthWithSlashes(text, end, end - found[0].length)) : null
}

const BRACED = /u\{([\da-f]{1,6})\}$/i
const MAX_BRACED = 9

/** The length of an escape whose letter is at a position, with the backslashes before it; 0 if there is none. */
function lengthWithSlashes(text: string, end: number, letter: number): number {
  const start = slashesStart(text, letter)
  return start < letter ? end - start : 0
}

/** The start of the backslashes that end at a position; the position if there are none. */
export function slashesStart(text: string, end: number): number {
  let start = end
  while (end - start < MAX_SLASHES && text.charCodeAt(start - 1) === ascii.BACKSLASH) start--
  return start
}

function entityBefore(text: string, end: number): Escape | null {
  for (let start = end - 2; start >= 0 && end - start <= MAX_ENTITY + 2; start--) {
    const code = text.charCodeAt(start)
    if (code === ascii.AMPERSAND) {
      const named = entityCode(text, start + 1, end - 1)
      return isPlain(named) ? { code: named, length: end - start } : null
    }
    if (code !== ascii.HASH && !(code < ascii.END && isAlphanumeric(code))) return null
  }
  return null
}

/** Maximum characters between the bracket and the end of a color sequence. */
export const MAX_COLOR = 16
const COLOR_BEGIN = /(?:\\u001b|\\x1b|\\033|\\e)$/i

/** A terminal's color sequence (`ESC[1;32m`) ends before a position, raw or as JSON and shells write it. */
export function endsColor(text: string, end: number): boolean {
  let bracket = end - 2
  while (end - bracket < MAX_COLOR && isOfColor(text.charCodeAt(bracket))) bracket--
  if (text.charCodeAt(bracket) !== ascii.OPEN_BRACKET) return false
  return (
    text.charCodeAt(bracket - 1) === ascii.ESCAPE || COLOR_BEGIN.test(text.slice(Math.max(0, bracket - 6), bracket))
  )
}

/** Digits, colon, semicolon. */
export function isOfColor(code: number): boolean {
  return code >= ascii.ZERO && code <= ascii.SEMICOLON
}
