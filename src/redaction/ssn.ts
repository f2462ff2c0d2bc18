/** US social security numbers: 3-2-4 digits of an area, group and serial that can be issued. */

import { isAlphanumeric } from './characters.ts'
import { beginsAlone, DigitReader, endsAlone, labelBefore, textBefore } from './digits.ts'
import type { Match } from './match.ts'
import type { TextWindow } from './text-window.ts'

const SSN_WORD = /ssn|social[ _-]?sec|soc\.? sec|my social|segur[oa] social|\bss ?(?:#|no\b|number)|\btin\b|taxpayer id/
/** Right behind the number. */
const SSN_BEHIND = /^ (?:is )?\(?(?:my |his |her |the )?(?:ssn|social)/i
const BEHIND_MAX = 14
/** Nine bare digits are a number of any kind, so the word has to be close by. */
const CLOSE = 48

const digits = new DigitReader()

/** The number whose first digit is at `start`. With hyphens it is one by its form; else a word must say so. */
export function findSsn(window: TextWindow, start: number): Match | null {
  window.candidate = start
  digits.begin(window)
  const area = digits.take(start, 3)
  if (area < 0) return null
  const group = digits.separator(area)
  const form = digits.form
  if (form === '/') return null
  const afterGroup = digits.take(group, 2)
  if (afterGroup < 0) return null
  const serial = digits.separator(afterGroup)
  if (digits.form !== form) return null
  const end = digits.take(serial, 4)
  if (end < 0 || digits.isDigitAt(end) || !isIssuable()) return null
  if (!beginsAlone(window, start) || !endsAlone(window, end)) return null
  if (form === '-') return { type: 'ssn', start, end }
  const context = form === '' ? labelBefore(window, start, CLOSE) : textBefore(window, start)
  return SSN_WORD.test(context) || isNamedBehind(window, end) ? { type: 'ssn', start, end } : null
}

/** `219 09 9998 (SSN)` */
function isNamedBehind(window: TextWindow, end: number): boolean {
  if (window.at(end) !== 0x20) return false
  let behind = ' '
  for (let i = end + 1; i < end + BEHIND_MAX; i++) {
    const code = window.at(i)
    if (code !== 0x20 && code !== 0x28 && !isAlphanumeric(code)) break
    behind += String.fromCharCode(code)
  }
  return SSN_BEHIND.test(behind)
}

/** `2 1 9 - 0 9 - 9 9 9 8`, where a word says what it is. */
export function findSpacedSsn(window: TextWindow, start: number): Match | null {
  window.candidate = start
  digits.begin(window)
  const end = digits.takeSpaced(start, 9, 3, 5)
  if (end < 0 || digits.isDigitAt(end) || !isIssuable() || !beginsAlone(window, start) || !endsAlone(window, end))
    return null
  return SSN_WORD.test(labelBefore(window, start, CLOSE)) ? { type: 'ssn', start, end } : null
}

function isIssuable(): boolean {
  const area = digits.number(0, 3)
  return area !== 0 && area !== 666 && area < 900 && digits.number(3, 5) !== 0 && digits.number(5, 9) !== 0
}
