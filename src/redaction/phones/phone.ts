/**
 * Phone numbers. North American ones count by form and valid area and exchange codes, bare ten digits only with a phone
 * word nearby; for others see `international-phone.ts` and `national-phone.ts`.
 */
import * as ascii from '../../core/ascii.ts'
import { DIGIT, isAlphanumeric, isAsciiDigit, isCapital, kindOf, plain } from '../text/characters.ts'
import {
  beginsAlone,
  beginsWord,
  DigitReader,
  endsAlone,
  endsEscape,
  endsWord,
  followsFigure,
  type Separator,
  textBefore,
} from '../text/digits.ts'
import { type Escape, escapeBefore } from '../text/escapes.ts'
import type { Match } from '../text/match.ts'
import type { TextWindow } from '../text/text-window.ts'
import { countryNumber, mayBeginPrefix, prefixedEnd } from './international-phone.ts'
import { findNationalPhone } from './national-phone.ts'
import { extensionEnd, readWord } from './phone-extension.ts'
import { isPhoneNear, phoneLabel } from './phone-words.ts'

/** Right after a number. */
const KINDS_OF_LINE = ['fax', 'office', 'mobile', 'cell', 'home', 'work', 'tel', 'phone', 'voice', 'ext', 'extension']
const digits = new DigitReader()

/** Finds the number whose first digit is at `digit`; a plus or bracket before it belongs to it. */
export function findPhone(window: TextWindow, digit: number): Match | null {
  const lead = readLead(window, digit)
  const match = findWithLead(window, digit, lead)
  if (match || window.cut) return match
  if (lead.bracket) {
    // `(415-733-2671)`: the bracket is around the number, not around its area code.
    const within = findWithLead(window, digit, { ...lead, start: lead.plus ? lead.start + 1 : digit, bracket: false })
    if (within || window.cut) return within
  }
  return lead.plus ? null : findLabeledPhone(window, digit)
}

/** Finds a number as dialed within a country, right after its label; a bracket before it belongs to it. */
export function findLabeledPhone(window: TextWindow, digit: number): Match | null {
  const start = window.before(digit) === ascii.OPEN_PARENTHESIS && digit > window.floor ? digit - 1 : digit
  window.candidate = start
  return findNationalPhone(window, digit, start)
}

function findWithLead(window: TextWindow, digit: number, lead: Lead): Match | null {
  window.candidate = lead.start
  if (!isFreeBefore(window, digit, lead)) return null
  const end = numberEnd(window, digit, lead)
  if (end < 0) return null
  const withExtension = extensionEnd(window, end)
  const form = window.before(end - 4) === ascii.HYPHEN ? '-' : ''
  const isFreeAfter =
    withExtension > end || (lead.plus ? endsWord(plain(window.at(end))) : endsAlone(window, end, form))
  return isFreeAfter ? { type: 'phone', start: lead.start, end: withExtension } : null
}

function numberEnd(window: TextWindow, digit: number, lead: Lead): number {
  if (lead.plus) return countryNumber(window, digit, lead.bracket).end
  if (mayBeginPrefix(window, digit) && !lead.bracket && !followsFigure(window, lead.start)) {
    const end = prefixedEnd(window, digit)
    if (end >= 0 || window.cut) return end
  }
  digits.begin(window)
  if ((window.at(digit) & 15) === 1 && !lead.bracket) {
    const end = northAmericanEnd(window, digit, lead, true)
    if (end >= 0 || window.cut) return end
  }
  digits.count = 0
  return northAmericanEnd(window, digit, lead, false)
}

interface Lead {
  start: number
  plus: boolean
  bracket: boolean
  /** An escape of something else precedes. */
  isEscaped: boolean
}

/** `+`, `(` or `(+` before the first digit, plain or escaped. */
function readLead(window: TextWindow, digit: number): Lead {
  const lead: Lead = { start: digit, plus: false, bracket: false, isEscaped: false }
  let before = readBefore(window, digit)
  let start = digit - before.length
  if (before.code === ascii.PLUS && start >= window.floor) {
    // `a+4155550132` and `1+1` are sums.
    lead.plus = beginsWord(window, start)
    if (lead.plus) {
      lead.start = start
      before = readBefore(window, start)
      start -= before.length
    }
  }
  lead.bracket = before.code === ascii.OPEN_PARENTHESIS && start >= window.floor
  if (lead.bracket) lead.start = start
  else lead.isEscaped = lead.start - start > 1
  return lead
}

/** The character before a position, plain or escaped. */
const readBefore = (window: TextWindow, end: number): Escape =>
  escapeBefore(window.text, end) ?? { code: plain(window.before(end)), length: 1 }

/** A bracket may follow a word (`fax(415)…`), and so may a hyphen after a word for phone. */
function isFreeBefore(window: TextWindow, digit: number, { start, bracket, isEscaped }: Lead): boolean {
  const form = window.at(digit + 3) === ascii.HYPHEN ? '-' : ''
  if (isEscaped || beginsAlone(window, start, form)) return true
  if (bracket) return !(kindOf(window.before(start)) & DIGIT) || endsEscape(window, start)
  return (
    plain(window.before(start)) === ascii.HYPHEN &&
    /(?:tel|phone|fax|office|home|work|cell|mobile)-$/.test(textBefore(window, start, 8))
  )
}

/** Returns the end of [1] area exchange number, or -1. `country`: the first digit is the country code. */
function northAmericanEnd(window: TextWindow, digit: number, lead: Lead, country: boolean): number {
  let position = digit
  let bracket = lead.bracket
  if (country) {
    position = digits.separator(digit + 1)
    const inside = window.read(position)
    if (window.code === ascii.OPEN_PARENTHESIS) {
      bracket = true
      position = inside
    }
  }
  const area = digits.take(position, 3)
  if (area < 0 || (country && !hasAreaCode())) return -1
  const closed = bracket ? window.read(area) : area
  if (bracket && window.code !== ascii.CLOSE_PARENTHESIS) return -1
  const exchange = digits.separator(closed)
  const form = digits.form
  const afterExchange = digits.take(exchange, 3)
  if (afterExchange < 0) return exchange > area ? vanityEnd(window, lead, country, exchange, 7) : -1
  const number = digits.separator(afterExchange)
  // `252.227-7013` is a section number.
  if (digits.form === '/' || (form === '.' && digits.form !== '.')) return -1
  const end = digits.take(number, 4)
  if (end < 0) return number > afterExchange ? vanityEnd(window, lead, country, number, 4) : -1
  if (digits.isDigitAt(end)) return -1
  const separated = exchange > area && number > afterExchange
  // The cells of a table are mostly figures.
  if (form === '<>' && !isPhoneNear(window, lead.start)) return -1
  // Groups between spaces after another number are a row of figures.
  if (separated && form === ' ' && !bracket && followsFigure(window, lead.start)) return -1
  if (separated && (bracket || isClearForm(form, digits.form, country))) return end
  return isWanted(window, lead.start, end, bracket, separated) ? end : -1
}

/** In the typical form of phone numbers, one counts even without a valid exchange code: examples often have none. */
function isClearForm(first: Separator, second: Separator, country: boolean): boolean {
  return first === '-' && second === '-' ? true : !country && first === '.' && second === '.'
}

/** Other forms need valid codes, and bare digits a word as well; without valid codes they need their label. */
function isWanted(window: TextWindow, start: number, end: number, bracket: boolean, separated: boolean): boolean {
  if (hasAreaCode() && (digits.values[3] as number) > 1)
    return separated || bracket || isPhoneNear(window, start) || isNamedAfter(window, end)
  return separated ? isPhoneNear(window, start) : phoneLabel(window, start) !== null
}

function hasAreaCode(): boolean {
  return (digits.values[0] as number) > 1
}

/**
 * Letters instead of digits (`1-800-FLOWERS`), if this is clearly a phone number: returns the end of exactly so many
 * capitals and digits from `word`, or -1.
 */
function vanityEnd(
  window: TextWindow,
  { start, bracket }: Lead,
  country: boolean,
  word: number,
  length: number,
): number {
  if (!hasAreaCode()) return -1
  let position = word
  while (isAsciiDigit(window.at(position))) position++
  // Usually no capital follows, and the text before need not be read.
  if (!isCapital(window.at(position)) || !(country || bracket || isPhoneNear(window, start))) return -1
  const end = word + length
  while (position < end && (isCapital(window.at(position)) || isAsciiDigit(window.at(position)))) position++
  return position === end && !isAlphanumeric(window.at(end)) ? end : -1
}

/** Finds `2 1 2 - 5 5 5 - 0 1 4 2`, if a word identifies it. */
export function findSpacedPhone(window: TextWindow, start: number): Match | null {
  window.candidate = start
  digits.begin(window)
  const end = digits.takeSpaced(start, 10, 3, 6)
  if (end < 0 || digits.isDigitAt(end) || !hasAreaCode() || !beginsAlone(window, start) || !endsAlone(window, end))
    return null
  return isPhoneNear(window, start) ? { type: 'phone', start, end } : null
}

/** `2125550142 fax`, `2125550142 (cell)` */
function isNamedAfter(window: TextWindow, end: number): boolean {
  if (window.at(end) !== ascii.SPACE) return false
  return readWord(window, window.at(end + 1) === ascii.OPEN_PARENTHESIS ? end + 2 : end + 1, KINDS_OF_LINE) > 0
}
