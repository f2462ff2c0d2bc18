/**
 * Phone numbers with a country code: after `+` or an international prefix, a code in use and as many digits as that
 * country has.
 */
import * as ascii from '../../core/ascii.ts'
import { plain } from '../text/characters.ts'
import { DigitReader } from '../text/digits.ts'
import type { TextWindow } from '../text/text-window.ts'
import { nationalLengths } from './country-codes.ts'
import { isPhoneNear } from './phone-words.ts'

/** `8~10`: wait for a second dial tone. */
export const TONE_MARK = ascii.TILDE

const digits = new DigitReader()

/** Dialed instead of the plus: in most countries, in North America, in parts of Asia, in Australia. */
const INTERNATIONAL_PREFIXES = ['00', '011', '001', '0011']
/** The same with the ITU's mark for a second dial tone: in Russia and its neighbors, formerly in Poland. */
const TONE_PREFIXES = ['8~10', '0~0']

/** A zero, or a digit and the mark for a second dial tone. */
export function mayBeginPrefix(window: TextWindow, digit: number): boolean {
  return (window.at(digit) & 15) === 0 || window.at(digit + 1) === TONE_MARK
}

/** Returns the end of a number after an international prefix, whose first digit is at `digit`; or -1. */
export function prefixedEnd(window: TextWindow, digit: number): number {
  digits.begin(window)
  const hasTone = window.at(digit + 1) === TONE_MARK
  for (const prefix of hasTone ? TONE_PREFIXES : INTERNATIONAL_PREFIXES) {
    const begin = hasTone ? toneEnd(window, digit, prefix) : prefixEnd(digit, prefix)
    const end = begin < 0 ? -1 : dialedEnd(window, digit, begin)
    if (end >= 0 || window.cut) return end
  }
  return -1
}

/** Returns the position after the digits of a prefix, or -1. */
function prefixEnd(digit: number, prefix: string): number {
  digits.count = 0
  const end = digits.take(digit, prefix.length)
  return end >= 0 && digits.number(0, prefix.length) === Number(prefix) ? end : -1
}

function toneEnd(window: TextWindow, digit: number, prefix: string): number {
  return window.isAt(digit, prefix) ? digit + prefix.length : -1
}

/** Returns the end of the country's number after a prefix, or -1: three groups, or a word, distinguish it from others. */
function dialedEnd(window: TextWindow, digit: number, begin: number): number {
  const position = digits.separator(begin)
  if (digits.form === '.' || digits.form === '/' || digits.form === ' - ' || window.at(position) === ascii.ZERO)
    return -1
  const { end, groups } = countryNumber(window, position, false)
  return end >= 0 && (groups >= 3 || isPhoneNear(window, digit)) ? end : -1
}

/** Returns the end of a country code in use with as many digits as that country has, or -1; and its groups of digits. */
export function countryNumber(window: TextWindow, begin: number, bracket: boolean): { end: number; groups: number } {
  digits.begin(window)
  let groups = 0
  let end = -1
  let position = begin
  let open = bracket
  let isAround = bracket
  for (;;) {
    const before = digits.count
    const after = digits.takeAll(position)
    if (digits.count === before) break
    groups++
    // `+49 (0)30`: the zero is dialed only within the country.
    if (open && groups > 1 && digits.count === before + 1 && digits.values[before] === 0) digits.count = before
    const left = digitsLeft()
    if (left === 0) {
      // An open bracket before the plus encloses the whole number.
      if (isAround) return { end: -1, groups }
      end = after
    } else if (end > 0 || left < 0) break
    let next = after
    if (open && plain(window.at(next)) === ascii.CLOSE_PARENTHESIS) {
      open = false
      isAround = false
      next++
    }
    next = digits.separator(next)
    if (digits.form === '-' || digits.form === '/' || digits.form === '.') {
      const spaced = window.read(next)
      if (window.code === ascii.SPACE) next = spaced
    }
    if (!open && plain(window.at(next)) === ascii.OPEN_PARENTHESIS) {
      open = true
      next++
    }
    if (next === after || !digits.isDigitAt(next)) break
    position = next
  }
  return { end, groups }
}

/** Returns how many digits a number with its country code lacks: 0 when it may end here, negative when it cannot. */
function digitsLeft(): number {
  const { count, values } = digits
  if (values[0] === 1) return 11 - count
  for (let length = 1; length <= 3 && length <= count; length++) {
    const lengths = nationalLengths(digits.number(0, length))
    if (!lengths) continue
    const national = count - length
    if (national < lengths.min) return lengths.min - national
    return Math.min(0, lengths.max + (values[length] === 0 ? 1 : 0) - national)
  }
  // Incomplete, or an unused country code.
  return count < 3 ? 1 : -1
}
