/**
 * Phone numbers as dialed within a country: `020 7946 0958`, `06 12 34 56 78`, `(030) 901820`. Their forms vary by
 * country. Those in CLEAR_GROUPS count wherever they stand; for others a label decides: after a noun for a phone any
 * eight to fifteen digits count, after a verb (`call`) only those that begin with the zero of a long-distance call or
 * with an area code in brackets.
 */
import * as ascii from '../../core/ascii.ts'
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

interface Groups {
  end: number
  /** Their lengths as decimal digits. */
  lengths: number
  /** The separator between all of them. */
  form: Separator | 'mixed'
}

/** Finds the number whose first digit is at `digit`; `start` is there, or at a bracket before it. */
export function findNationalPhone(window: TextWindow, digit: number, start: number): Match | null {
  const isLabeled = mayFollowLabel(window, start)
  if (!isLabeled && (!hasTrunkZero(window, digit) || followsFigure(window, start))) return null
  digits.begin(window)
  const groups = readGroups(window, digit, start < digit)
  if (!groups) return null
  const { end } = groups
  const { count } = digits
  if (count < MIN_DIGITS || count > MAX_DIGITS || digits.isDigitAt(end)) return null
  if (!(isClear(window, digit, groups) || (isLabeled && isLabeledPhone(window, start, digit)))) return null
  if (!(endsAlone(window, end) || extensionEnd(window, end) > end)) return null
  if (start === digit && !beginsAlone(window, start)) return null
  return { type: 'phone', start, end: extensionEnd(window, end) }
}

/** A zero, and not another one. */
function hasTrunkZero(window: TextWindow, digit: number): boolean {
  return (window.at(digit) & 15) === 0 && (window.at(digit + 1) & 15) !== 0
}

function isClear(window: TextWindow, digit: number, { lengths, form }: Groups): boolean {
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
  if (before === ascii.SPACE) {
    const end = window.before(start - 1)
    return (kindOf(end) & LETTER) !== 0 || endsLabel(end) || end === FULL_WIDTH_COLON
  }
  return before >= ascii.END || mayPrecedePhone(before)
}

const FULL_WIDTH_COLON = 0xff1a
const endsLabel = ascii.oneOf(':.)')
const mayPrecedePhone = ascii.oneOf(':("\'=>')

/** Returns digit groups with one separator between any two and perhaps brackets around the first, or null. */
function readGroups(window: TextWindow, begin: number, bracket: boolean): Groups | null {
  let open = bracket
  let end = begin
  let lengths = 0
  let form: Groups['form'] = ''
  for (let groups = 0; groups < MAX_GROUPS; groups++) {
    const before = digits.count
    const after = digits.takeAll(end)
    if (digits.count === before) return null
    lengths = lengths * 10 + digits.count - before
    end = after
    let next = end
    if (open && plain(window.at(next)) === ascii.CLOSE_PARENTHESIS) {
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
  return open || kindOf(window.at(end)) & LETTER ? null : { end, lengths, form }
}
