/** Dates of birth and document numbers, which are recognized only right after their label. */
import * as ascii from '../../core/ascii.ts'
import { isAlphanumeric, isAsciiDigit, isAsciiLetter } from '../text/characters.ts'
import { beginsWord, followsWord, labelBefore } from '../text/digits.ts'
import type { Match } from '../text/match.ts'
import type { TextWindow } from '../text/text-window.ts'

/** Text allowed between a label and its value; JSON within a string has its quotes escaped. */
const LINK =
  '(?:[ _-]?(?:number|num|no\\.?|nr\\.?|id|#|号码|番号))?(?:\\\\?["\')])?(?: is|:| was)?[\\s:：=>("\'#\\\\]{0,5}$'
const BIRTH = new RegExp(
  '(?:\\bdob|d\\.o\\.b\\.?|date[ _-]?of[ _-]?birth|birth[ _-]?(?:date|day)|\\bborn(?: on)?|geburtsdatum|\\bgeb\\.|geboren am|' +
    'n[ée]e? le|date de naissance|fecha de nacimiento|data di nascita|data de nascimento|geboortedatum|生年月日|出生日期)' +
    LINK,
)
const DOCUMENT = new RegExp(
  "(?:passport|passeport|reisepass|pasaporte|passaporto|passaporte|护照|旅券|driv(?:er|ing)['’]?s?[ _-]?licen[cs]e|\\bdl|" +
    'führerschein|permis de conduire|(?:personal)?ausweis|(?:national |identity |id )card|medicare|medical record|\\bmrn)' +
    LINK,
)
const MAX_LABEL = 48

const MONTHS = '(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\\.?'
const DATE = new RegExp(
  '^(?:(?:19|20)\\d\\d([-/.])(?:0?[1-9]|1[0-2])\\1(?:0?[1-9]|[12]\\d|3[01])|' +
    '(?:0?[1-9]|[12]\\d|3[01])([-/.])(?:0?[1-9]|[12]\\d|3[01])\\2(?:(?:19|20)\\d\\d|\\d\\d)|' +
    `(?:0?[1-9]|[12]\\d|3[01])(?:st|nd|rd|th)? (?:of )?${MONTHS},? (?:19|20)\\d\\d)(?![\\dA-Za-z])`,
  'i',
)
const MAX_DATE = 28
/** `March 12, 1985`: the month before the first digit. */
const MONTH_BEFORE = new RegExp(`${MONTHS} $`, 'i')
const DAY_AND_YEAR = /^(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?,? (?:19|20)\d\d(?![\dA-Za-z])/

/** Finds the date of birth whose first group of `length` digits is at `digit`; a month name before it stays. */
export function findDateOfBirth(window: TextWindow, digit: number, length: number): Match | null {
  if (!mayBeginDate(window, digit, length)) return null
  if (!followsWord(window, digit)) return null
  const month = MONTH_BEFORE.exec(window.text.slice(Math.max(window.floor, digit - 11), digit))
  const labelEnd = digit - (month?.[0].length ?? 0)
  if (
    !followsWord(window, labelEnd) ||
    !beginsWord(window, labelEnd) ||
    !BIRTH.test(labelBefore(window, labelEnd, MAX_LABEL))
  )
    return null
  window.candidate = digit
  let end = digit
  while (end - digit < MAX_DATE && isOfDate(window.at(end))) end++
  const date = (month ? DAY_AND_YEAR : DATE).exec(window.text.slice(digit, end))
  return date ? { type: 'date_of_birth', start: digit, end: digit + date[0].length } : null
}

/** A year or day with a separator and a digit, a day and a month's first letter, or a day after a month. */
function mayBeginDate(window: TextWindow, digit: number, length: number): boolean {
  if (length > 2 && length !== 4) return false
  const next = window.at(digit + length)
  if (isDateSign(next)) return hasTwoMore(window, digit + length, next)
  if (length === 4) return false
  const second = window.at(digit + length + 1)
  if (next === ascii.SPACE && isAsciiLetter(second))
    return 'jfmasond'.includes(String.fromCharCode(second | ascii.LOWER_CASE))
  if (isAsciiLetter(next)) return 'snrt'.includes(String.fromCharCode(next | ascii.LOWER_CASE))
  return (
    (next === ascii.COMMA || next === ascii.SPACE) &&
    window.before(digit) === ascii.SPACE &&
    isEndOfMonth(window.before(digit - 1))
  )
}

const isDateSign = ascii.oneOf('-./')

/** A separator, one or two digits, the same separator, and a digit. */
function hasTwoMore(window: TextWindow, sign: number, mark: number): boolean {
  let end = sign + 1
  while (end - sign < 4 && isAsciiDigit(window.at(end))) end++
  return end - sign > 1 && end - sign < 4 && window.at(end) === mark && isAsciiDigit(window.at(end + 1))
}

function isEndOfMonth(code: number): boolean {
  return isAsciiLetter(code) || code === ascii.DOT
}

function isOfDate(code: number): boolean {
  return (
    code < ascii.END && (isAlphanumeric(code) || code === ascii.SPACE || (code >= ascii.COMMA && code <= ascii.SLASH))
  )
}

/** Before the first digit of a document number. */
const MAX_LETTERS = 3
const MAX_NUMBER = 20
const MIN_DIGITS = 5

/**
 * Finds the number of a passport, license or identity card that begins with a word's `start` and whose first group of
 * `length` digits is at `digit`.
 */
export function findDocumentNumber(window: TextWindow, start: number, digit: number, length: number): Match | null {
  if (digit - start > MAX_LETTERS || (start === digit && length < MIN_DIGITS) || !followsWord(window, start))
    return null
  window.candidate = start
  let end = digit
  let digits = 0
  for (; end - start < MAX_NUMBER; end++) {
    const code = window.at(end)
    if (isAsciiDigit(code)) digits++
    else if (!isAsciiLetter(code) && !(code === ascii.HYPHEN && isAlphanumeric(window.at(end + 1)))) break
  }
  if (end - start < 6 || end - start === MAX_NUMBER || digits < MIN_DIGITS || isAlphanumeric(window.at(end)))
    return null
  return DOCUMENT.test(labelBefore(window, start, MAX_LABEL)) ? { type: 'document_number', start, end } : null
}
