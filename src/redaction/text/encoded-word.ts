/** Words of mail headers in base64 (RFC 2047): `=?utf-8?B?…?=`. Those in quoted-printable are read like any text. */
import * as ascii from '../../core/ascii.ts'
import type { PiiType } from '../../core/pii-types.ts'
import { isAlphanumeric } from './characters.ts'
import type { Match } from './match.ts'
import type { TextWindow } from './text-window.ts'

/** In characters. The standard allows 75 for the whole word. */
const MAX_CHARSET = 40
const MAX_TEXT = 160

/** Returns the word whose first question mark is at `mark` if its text has something; `find` returns its type. */
export function findEncodedWord(
  window: TextWindow,
  mark: number,
  find: (text: string) => PiiType | undefined,
): Match | null {
  window.candidate = mark - 1
  const charset = runEnd(window, mark + 1, MAX_CHARSET)
  if (
    window.at(charset) !== ascii.QUESTION_MARK ||
    (window.at(charset + 1) | ascii.LOWER_CASE) !== ascii.LOWER_B ||
    window.at(charset + 2) !== ascii.QUESTION_MARK
  )
    return null
  const end = runEnd(window, charset + 3, MAX_TEXT)
  if (window.at(end) !== ascii.QUESTION_MARK || window.at(end + 1) !== ascii.EQUALS) return null
  const text = Buffer.from(window.text.slice(charset + 3, end), 'base64').toString('utf8')
  const type = find(text)
  window.restore(text.length)
  return type === undefined ? null : { type, start: mark - 1, end: end + 2 }
}

function runEnd(window: TextWindow, start: number, max: number): number {
  let end = start
  while (end - start < max && isOfWord(window.at(end))) end++
  return end
}

/** Of the name of a character set, or of base64. */
function isOfWord(code: number): boolean {
  return isOfBase64(code) || (code < ascii.END && isAlphanumeric(code))
}

const isOfBase64 = ascii.oneOf('+-/=')
