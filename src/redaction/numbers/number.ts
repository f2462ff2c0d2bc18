/** Numbers. The first group of digits decides which detectors run: most numbers are not personal. */
import * as ascii from '../../core/ascii.ts'
import type { PiiType } from '../../core/pii-types.ts'
import { TONE_MARK } from '../phones/international-phone.ts'
import { findLabeledPhone, findPhone, findSpacedPhone } from '../phones/phone.ts'
import { findHexToken } from '../secrets/issued-secret.ts'
import {
  DIGIT,
  IGNORED,
  isAlphanumeric,
  isAsciiLetter,
  isCapital,
  isGluing,
  kindOf,
  LETTER,
  LITERAL,
  MAX_INVISIBLE,
  plain,
} from '../text/characters.ts'
import { beginsWord, DigitReader, endsEscape, followsFigure, separatorOf } from '../text/digits.ts'
import { escapeBefore, mayEndEscape } from '../text/escapes.ts'
import type { Match } from '../text/match.ts'
import type { TextWindow } from '../text/text-window.ts'
import { findAppToken, findBotToken, findRefreshToken } from '../text/token-forms.ts'
import { findCreditCard } from './credit-card.ts'
import { findIban } from './iban.ts'
import { findIpv4 } from './ip-address.ts'
import { findNationalId } from './national-id.ts'
import { findDateOfBirth, findDocumentNumber } from './personal-details.ts'
import { findSpacedSsn, findSsn } from './ssn.ts'
import { findWallet } from './wallet.ts'

/** No detector matches a longer group of digits. */
const MAX_GROUP = 19

export type Detects = Readonly<Record<PiiType, boolean>>

/** Finds what begins with the digit at `position`. */
export function findNumber(window: TextWindow, position: number, detects: Detects): Match | null {
  const length = groupLength(window, position)
  if (length < MIN_LONE && standsAlone(window, position, length)) return findInLone(window, position, length, detects)
  // Short groups between spaces, after another number: a row of figures.
  if (length < 3 && window.at(position + length) === ascii.SPACE && followsFigure(window, position)) return null
  const match = findCommonNumber(window, position, detects)
  return match || window.cut ? match : findRareNumber(window, position, detects)
}

/** Fewer digits without a separator are part of a date or of a token, or not personal. */
const MIN_LONE = 5

/** Most numbers in a text are short, and end a word or a sentence: no further digits could belong to them. */
function standsAlone(window: TextWindow, position: number, length: number): boolean {
  const end = position + length
  const next = window.at(end)
  if (next >= ascii.END || ENDS_NUMBER[next] === 0) return false
  if (ENDS_NUMBER[next] === 1) return true
  if (next === ascii.LESS_THAN) return !goesOnBehindTags(window, end) && !mayFollowCountry(window, position)
  const second = window.at(end + 1)
  if (mayJoin(second) && (!isSeparator(second) || mayJoin(window.at(end + 2)))) return false
  // `GB82 WEST …`
  return !mayFollowCountry(window, position)
}

/** 1 if no number continues after a character, 2 if that depends on the next ones. */
const ENDS_NUMBER = new Uint8Array(128)
for (const character of '\n\r",:;\'`]}>=*!?{^$@#|') ENDS_NUMBER[character.charCodeAt(0)] = 1
for (const separator of ' ._<') ENDS_NUMBER[separator.charCodeAt(0)] = 2

/** A number may continue with it after a separator: a digit, a possible escape of one, or another separator. */
function mayJoin(code: number): boolean {
  const kind = kindOf(code)
  return (kind & (DIGIT | IGNORED)) !== 0 || !(kind & LITERAL) || isSeparator(code) || code === ascii.OPEN_PARENTHESIS
}

function isSeparator(code: number): boolean {
  return separatorOf(plain(code)) !== ''
}

function findInLone(window: TextWindow, position: number, length: number, detects: Detects): Match | null {
  if (detects.secret && kindOf(window.before(position)) & LETTER) {
    const token = findHexToken(window, position)
    if (token || window.cut) return token
  }
  return detects.date_of_birth && length < 3 ? findDateOfBirth(window, position, length) : null
}

/** Finds types that are off by default. Digits of any other type are not theirs. */
function findRareNumber(window: TextWindow, digit: number, detects: Detects): Match | null {
  const before = window.before(digit)
  if (kindOf(before) & (DIGIT | IGNORED) || (isJoint(before) && kindOf(window.before(digit - 1)) & DIGIT)) return null
  // All of them begin a word, with a few letters at most.
  const start = wordStart(window, digit)
  if (!beginsWord(window, start)) return null
  const length = groupLength(window, digit)
  const wallet = detects.crypto_wallet && isAlphanumeric(window.at(digit + length)) ? findWallet(window, digit) : null
  if (wallet || window.cut) return wallet
  const id = detects.national_id ? findNationalId(window, start, digit, length) : null
  if (id || window.cut) return id
  const birth = detects.date_of_birth && start === digit ? findDateOfBirth(window, digit, length) : null
  if (birth || window.cut || !detects.document_number) return birth
  return findDocumentNumber(window, start, digit, length)
}

/** Maximum letters before the first digit. */
const MAX_LETTERS = 6

/** Goes back over the letters before a digit, except those of an escape. */
function wordStart(window: TextWindow, digit: number): number {
  let start = digit
  while (digit - start <= MAX_LETTERS && start > window.floor && isAsciiLetter(window.before(start))) start--
  if (start < digit && window.before(start) === ascii.BACKSLASH) return start + 1
  return start < digit && endsEscape(window, digit) ? digit : start
}

function findCommonNumber(window: TextWindow, position: number, detects: Detects): Match | null {
  const before = window.before(position)
  if (kindOf(before) & (DIGIT | IGNORED) && continuesNumber(window, position)) return null
  // Two digits of an escape: the number begins after them. After a letter it is checked separately.
  if (before === ascii.PERCENT && kindOf(window.text.charCodeAt(position + 1)) & LETTER) return null
  const start = before === ascii.PERCENT ? position + 2 : position + jsonEscapeLength(window, position)
  window.candidate = start
  const length = groupLength(window, start)
  if (length === 0) return null
  if (detects.iban && length >= 2 && mayFollowCountry(window, start)) {
    const match = findIban(window, start)
    if (match || window.cut) return match
  }
  if (length > MAX_GROUP) return null
  const next = window.at(start + length)
  if (detects.secret) {
    const match = findNumberedSecret(window, start, length, next)
    if (match || window.cut) return match
  }
  if (detects.ip && length <= 3 && (next === ascii.DOT || next === ascii.OPEN_BRACKET)) {
    const match = findIpv4(window, start)
    if (match || window.cut) return match
  }
  if (followsDigit(window, start)) return null
  const split = (kindOf(next) & IGNORED) !== 0
  const grouped = split || goesOn(window, next, start + length)
  const first = window.text.charCodeAt(start) & 15
  if (detects.credit_card && (length >= 12 || split || (length === 4 && grouped && first > 0))) {
    const match = findCreditCard(window, start)
    if (match || window.cut) return match
  }
  // Only a card may be glued to a word.
  if (isGluing(before) && !endsEscape(window, start)) return null
  if (detects.ssn && (length === 9 || split || (length === 3 && grouped))) {
    const match = findSsn(window, start)
    if (match || window.cut) return match
  }
  if (length === 1 && next === ascii.SPACE && grouped) {
    const ssn = detects.ssn ? findSpacedSsn(window, start) : null
    if (ssn || window.cut) return ssn
    const phone = detects.phone ? findSpacedPhone(window, start) : null
    if (phone || window.cut) return phone
  }
  if (!detects.phone) return null
  if (split || mayBePhone(window, start, first, length, grouped)) return findPhone(window, start)
  const mayBeNational = length >= 8 ? length <= 12 : grouped && length < 6
  return mayBeNational ? findLabeledPhone(window, start) : null
}

/** Tokens that begin with a number. */
function findNumberedSecret(window: TextWindow, start: number, length: number, next: number): Match | null {
  if (kindOf(window.before(start)) & LETTER) return findHexToken(window, start)
  if (next === ascii.COLON && length >= 8 && length <= 10) return findBotToken(window, start, start + length)
  if (next === ascii.BAR && length >= 15 && length <= 16) return findAppToken(window, start, start + length)
  return next === ascii.SLASH && length === 1 && window.text.charCodeAt(start) === ascii.ONE
    ? findRefreshToken(window, start)
    : null
}

/** Four digits of `\u0022`: the number begins after them. */
function jsonEscapeLength(window: TextWindow, position: number): number {
  if (window.before(position) !== ascii.LOWER_U || window.before(position - 1) !== ascii.BACKSLASH) return 0
  window.at(position + 3)
  return /^00[2-7]\d/.test(window.text.slice(position, position + 4)) ? 4 : 0
}

/** A letter precedes, or two capitals and a space: it may be the country of an IBAN. */
function mayFollowCountry(window: TextWindow, start: number): boolean {
  const before = window.before(start)
  if (before !== ascii.SPACE) return (kindOf(before) & LETTER) !== 0
  return isCapital(window.before(start - 1)) && isCapital(window.before(start - 2))
}

/** The character before belongs to the same number, which was checked from its beginning. */
function continuesNumber(window: TextWindow, position: number): boolean {
  let index = position
  for (let skipped = 0; skipped < MAX_INVISIBLE && kindOf(window.before(index)) & IGNORED; skipped++) index--
  return (kindOf(window.before(index)) & DIGIT) !== 0
}

/** `2.`, `2-`, `2+` or `2(` precedes, plain or escaped: this continues something that began with another number. */
function followsDigit(window: TextWindow, start: number): boolean {
  const before = window.before(start)
  if (isJoint(before)) return (kindOf(window.before(start - 1)) & DIGIT) !== 0 && !escapeBefore(window.text, start - 1)
  if (!mayEndEscape(before)) return false
  const escaped = escapeBefore(window.text, start)
  return escaped !== null && isJoint(escaped.code) && (kindOf(window.before(start - escaped.length)) & DIGIT) !== 0
}

const isJoint = ascii.oneOf('.-+(')
const mayLeadPhone = ascii.oneOf('+bB')
const isParenthesis = ascii.oneOf('()')

function groupLength(window: TextWindow, start: number): number {
  let length = 0
  while (length <= MAX_GROUP && kindOf(window.at(start + length)) & DIGIT) length++
  return length
}

/** Another group may follow: a separator and a possible next character. */
function goesOn(window: TextWindow, next: number, end: number): boolean {
  const code = plain(next)
  if (isParenthesis(code)) return true
  if (code === ascii.PERCENT || code === ascii.BACKSLASH || code === ascii.AMPERSAND) {
    window.read(end)
    return isParenthesis(window.code) || separatorOf(window.code) !== ''
  }
  if (code === ascii.LESS_THAN) return goesOnBehindTags(window, end)
  const form = separatorOf(code)
  if (form === '') return false
  const second = window.at(end + 1)
  if (kindOf(second) & (DIGIT | IGNORED) || second === ascii.OPEN_PARENTHESIS) return true
  // Two separators count as one only as ` - ` or `. `.
  return separatorOf(plain(second)) === (form === ' ' ? '-' : ' ') && mayJoin(window.at(end + 2))
}

const tags = new DigitReader()

/** `4111</td><td>1111` */
function goesOnBehindTags(window: TextWindow, end: number): boolean {
  tags.begin(window)
  return tags.separator(end) > end
}

/** The first group could begin a phone number: after a plus, an international prefix, or with groups of this size. */
function mayBePhone(window: TextWindow, start: number, first: number, length: number, grouped: boolean): boolean {
  const lead = plain(window.before(start))
  if (mayLeadPhone(lead) || length === 10) return true
  if (first === 0 && length > 1) return length > 2 || grouped
  if (first === 1 && length === 11) return true
  if (length === 1 && (first === 0 || first === 8)) return window.at(start + 1) === TONE_MARK
  if (!grouped) return false
  // An area code follows the one, and begins with 2 or more.
  return length === 3 || (first === 1 && (length === 1 || (length === 4 && (window.at(start + 1) & 15) > 1)))
}
