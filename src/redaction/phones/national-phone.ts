/**
 * Phone numbers as dialed within a country: `020 7946 0958`, `06 12 34 56 78`, `(030) 901820`. Their forms vary by
 * country. Those in CLEAR_GROUPS count wherever they stand; for others a label decides: after a noun for a phone any
 * eight to fifteen digits count, after a verb (`call`) only those that begin with the zero of a long-distance call or
 * with an area code in brackets.
 */
import { kindOf, LETTER, plain } from '../text/characters.ts'
import { beginsAlone, DigitReader, endsAlone, followsFigure, type Separator } from '../text/digits.ts'
import type { Match } from '../text/match.ts'
import type { TextWindow } from '../text/text-window.ts'
import { extensionEnd } from './phone-extension.ts'
import { phoneLabel } from './phone-words.ts'

const MIN_DIGITS = 8
const MAX_DIGITS = 15
/** Including its zero. */
const MIN_DIALED = 9
const MAX_GROUPS = 6
/**
 * Lengths of the groups of numbers that begin with the zero of a long-distance call, as written in Sydney and Tokyo,
 * Jakarta, London and Seoul, on Australian mobiles, in British towns, Zurich and Istanbul. Rows of figures are not grouped
 * like this.
 */
const CLEAR_GROUPS = new Set([244, 334, 344, 433, 434, 3322, 4322])
/** In Paris. */
const CLEAR_GROUPS_WITH_DOTS = 22222

const digits = new DigitReader()
/** What `groupsEnd` passed: the lengths of the groups as decimal digits, and the separator between all of them. */
let lengths = 0
let form: Separator | 'mixed' = ''

/** Finds the number whose first digit is at `digit`; `start` is there, or at a bracket before it. */
export function findNationalPhone(window: TextWindow, digit: number, start: number): Match | null {
  const isLabeled = mayFollowLabel(window, start)
  if (!isLabeled && (!hasTrunkZero(window, digit) || followsFigure(window, start))) return null
  digits.begin(window)
  const end = groupsEnd(window, digit, start < digit)
  const { count } = digits
  if (end < 0 || count < MIN_DIGITS || count > MAX_DIGITS || digits.isDigitAt(end)) return null
  if (!(isClear(window, digit) || (isLabeled && isLabeledPhone(window, start, digit)))) return null
  if (!(endsAlone(window, end) || extensionEnd(window, end) > end)) return null
  if (start === digit && !beginsAlone(window, start)) return null
  return { type: 'phone', start, end: extensionEnd(window, end) }
}

/** A zero, and not another one. */
function hasTrunkZero(window: TextWindow, digit: number): boolean {
  return (window.at(digit) & 15) === 0 && (window.at(digit + 1) & 15) !== 0
}

function isClear(window: TextWindow, digit: number): boolean {
  if (!hasTrunkZero(window, digit)) return false
  return form === '.'
    ? lengths === CLEAR_GROUPS_WITH_DOTS
    : form !== '/' && form !== '_' && form !== '<>' && form !== 'mixed' && CLEAR_GROUPS.has(lengths)
}

function isLabeledPhone(window: TextWindow, start: number, digit: number): boolean {
  const isDialed = (digits.values[0] === 0 || start < digit) && digits.count >= MIN_DIALED
  const label = phoneLabel(window, start)
  return label === 'label' || (label === 'call' && isDialed)
}

/** A label may end before a number: in a letter and perhaps a colon, bracket or quote. */
function mayFollowLabel(window: TextWindow, start: number): boolean {
  const before = window.before(start)
  if (before === 0x20) {
    const end = window.before(start - 1)
    return (kindOf(end) & LETTER) !== 0 || end === 0x3a || end === 0x2e || end === 0x29 || end === 0xff1a
  }
  return !(
    before < 0x80 &&
    before !== 0x3a &&
    before !== 0x28 &&
    before !== 0x22 &&
    before !== 0x27 &&
    before !== 0x3d &&
    before !== 0x3e
  )
}

/** Returns the end of digit groups with one separator between any two and perhaps brackets around the first, or -1. */
function groupsEnd(window: TextWindow, begin: number, bracket: boolean): number {
  let open = bracket
  let end = begin
  lengths = 0
  form = ''
  for (let groups = 0; groups < MAX_GROUPS; groups++) {
    const before = digits.count
    const after = digits.takeAll(end)
    if (digits.count === before) return -1
    lengths = lengths * 10 + digits.count - before
    end = after
    let next = end
    if (open && plain(window.at(next)) === 0x29) {
      open = false
      next++
      end = next
    }
    next = digits.separator(next)
    if (!digits.isDigitAt(next) || next === after || digits.count >= MAX_DIGITS) break
    // The separator after brackets may be any.
    if (groups === 0 && bracket) form = ''
    else form = groups === 0 || form === '' || form === digits.form ? digits.form : 'mixed'
    end = next
  }
  return open || kindOf(window.at(end)) & LETTER ? -1 : end
}
