/** US social security numbers: 3-2-4 digits with an issuable area, group and serial, or any after their label. */

import * as ascii from '../../core/ascii.ts'
import { isAlphanumeric } from '../text/characters.ts'
import {
  beginsAlone,
  DigitReader,
  endsAlone,
  followsWord,
  labelBefore,
  type Separator,
  textBefore,
} from '../text/digits.ts'
import type { Match } from '../text/match.ts'
import type { TextWindow } from '../text/text-window.ts'

const SSN_WORD = /ssn|social[ _-]?sec|soc\.? sec|my social|segur[oa] social|\bss ?(?:#|no\b|number)|\btin\b|taxpayer id/
/** Right before the number. */
const SSN_LABEL =
  /(?:\bssn|\bitin|social[ _-]?security(?:[ _-]?(?:number|num|no\.?|#))?)\)?(?:[ _](?:number|no\.?|is))*["']?[ :=#]{0,3}["']?$/
/** Right after the number. */
const SSN_BEHIND = /^ (?:is )?\(?(?:my |his |her |the )?(?:ssn|social)/i
const MAX_BEHIND = 14
/** Nine bare digits can be any number, so the word must be close. */
const CLOSE = 48

const digits = new DigitReader()

/**
 * Finds the number whose first digit is at `start`. With hyphens its form is enough; otherwise a word is required.
 * Right after its label it counts in any form and also with an area that was never issued: taxpayer numbers (ITIN)
 * begin with 9.
 */
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
  const isUniform = digits.form === form
  const end = digits.take(serial, 4)
  if (end < 0 || digits.isDigitAt(end) || digits.number(0, 9) === 0) return null
  if (!beginsAlone(window, start, form) || !endsAlone(window, end, form)) return null
  const isCertain =
    isUniform && isIssuable() && (form === '-' || isCalledSsn(window, start, form) || isNamedAfter(window, end))
  return isCertain || isLabeled(window, start) ? { type: 'ssn', start, end } : null
}

function isCalledSsn(window: TextWindow, start: number, form: Separator): boolean {
  return SSN_WORD.test(form === '' ? labelBefore(window, start, CLOSE) : textBefore(window, start))
}

function isLabeled(window: TextWindow, start: number): boolean {
  return followsWord(window, start) && SSN_LABEL.test(labelBefore(window, start, CLOSE))
}

/** `219 09 9998 (SSN)` */
function isNamedAfter(window: TextWindow, end: number): boolean {
  if (window.at(end) !== ascii.SPACE) return false
  let behind = ' '
  for (let i = end + 1; i < end + MAX_BEHIND; i++) {
    const code = window.at(i)
    if (code !== ascii.SPACE && code !== ascii.OPEN_PARENTHESIS && !isAlphanumeric(code)) break
    behind += String.fromCharCode(code)
  }
  return SSN_BEHIND.test(behind)
}

/** Finds `2 1 9 - 0 9 - 9 9 9 8`, if a word identifies it. */
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
