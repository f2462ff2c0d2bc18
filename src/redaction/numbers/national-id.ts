/**
 * National identity numbers, by form and check digits; US numbers are in `ssn.ts`. Forms of digits only require a label
 * right before them, since such numbers are common.
 */
import * as ascii from '../../core/ascii.ts'
import { DIGIT, isAlphanumeric, kindOf } from '../text/characters.ts'
import { followsFigure, followsWord, labelBefore } from '../text/digits.ts'
import { passesLuhn } from '../text/luhn.ts'
import type { Match } from '../text/match.ts'
import type { TextWindow } from '../text/text-window.ts'

interface Form {
  /** Letters before the first digit, length of the first digit group, and what follows it. Avoids most checks. */
  letters: number
  digits: number
  /** Separators and 'A' for a letter; '' for anything but a letter. */
  next: string
  pattern: RegExp
  isValid: (digits: number[], text: string) => boolean
  /** Only after a label. */
  label?: true
}

const LABEL =
  /(?:(?<![a-z])(?:cpf|pesel|tckn|t\.?c\.?[ _-]?kimlik|nhs|bsn|burgerservicenummer|aadhaar|aadhar|sin|social[ _-]insurance|fødselsnummer|personnummer|steuer[ _-]?id|identifikationsnummer|tax[ _-]id|rut|nino|national[ _-](?:id|insurance)|id[ _-]?(?:number|no\.?))(?![a-z])|身份证)[^\d]{0,16}$/
const MAX_LABEL = 40
const MIN_TEXT = 9
const MAX_TEXT = 24

const weighted = (digits: number[], weights: number[]): number =>
  weights.reduce((sum, weight, i) => sum + weight * (digits[i] ?? 0), 0)
const isVaried = (digits: number[]): boolean => digits.some((digit) => digit !== digits[0])

/** Checks the day and month at positions of a number. */
function isDate(digits: number[], day: number, month: number): boolean {
  const at = (i: number) => (digits[i] ?? 0) * 10 + (digits[i + 1] ?? 0)
  const inMonth = at(month) % 20
  return at(day) >= 1 && at(day) <= 31 && inMonth >= 1 && inMonth <= 12
}

const isLuhn = (digits: number[]): boolean => isVaried(digits) && passesLuhn(digits)

/** Brazil. */
function isCpf(digits: number[]): boolean {
  const check = (count: number) => {
    const rest =
      (weighted(
        digits,
        Array.from({ length: count }, (_, i) => count + 1 - i),
      ) *
        10) %
      11
    return rest % 10 === digits[count]
  }
  return digits.length === 11 && isVaried(digits) && check(9) && check(10)
}

/** Spain: the letter is the number modulo 23; X, Y and Z of foreigners stand for 0, 1 and 2. */
function isDni(_: number[], text: string): boolean {
  const plain = text.replace(/[\s.-]/g, '').toUpperCase()
  const number = Number(plain.slice(0, -1).replace(/^[XYZ]/, (letter) => String('XYZ'.indexOf(letter))))
  return 'TRWAGMYFPDXBNJZSQVHLCKE'[number % 23] === plain.at(-1)
}

/** Italy. */
function isCodiceFiscale(_: number[], text: string): boolean {
  const ODD = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23]
  const worth = (character: string) => {
    const code = character.charCodeAt(0)
    return code <= ascii.NINE ? code - ascii.ZERO : code - ascii.UPPER_A
  }
  const characters = [...text.toUpperCase()]
  const sum = characters
    .slice(0, 15)
    .reduce((total, character, i) => total + (i % 2 === 0 ? (ODD[worth(character)] ?? 0) : worth(character)), 0)
  return sum % 26 === worth(characters[15] ?? '')
}

/** China: modulo 11, an X is 10. */
function isResidentId(digits: number[], text: string): boolean {
  const check = '10X98765432'[weighted(digits, [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]) % 11]
  return isDate(digits, 12, 10) && check === text.at(-1)?.toUpperCase()
}

/** France: the last two digits are 97 minus the remainder modulo 97. */
function isNir(digits: number[]): boolean {
  const number = Number(digits.slice(0, 13).join(''))
  return 97 - (number % 97) === (digits[13] ?? 0) * 10 + (digits[14] ?? 0)
}

/** Switzerland: the check digit of EAN-13. */
const isAhv = (digits: number[]): boolean => weighted(digits, [1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]) % 10 === 0

/** Poland. */
const isPesel = (digits: number[]): boolean =>
  isDate(digits, 4, 2) && weighted(digits, [1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]) % 10 === 0

/** Turkey. */
function isTckn(digits: number[]): boolean {
  const tenth = (weighted(digits, [7, -1, 7, -1, 7, -1, 7, -1, 7]) + 100) % 10
  return digits[0] !== 0 && tenth === digits[9] && weighted(digits, Array(10).fill(1)) % 10 === digits[10]
}

/** Norway. */
const isFodselsnummer = (digits: number[]): boolean =>
  weighted(digits, [3, 7, 6, 1, 8, 9, 4, 5, 2, 1]) % 11 === 0 &&
  weighted(digits, [5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]) % 11 === 0

/** Germany: ISO 7064 modulo 11, 10. */
function isSteuerId(digits: number[]): boolean {
  const product = digits.slice(0, 10).reduce((rest, digit) => (((rest + digit) % 10 || 10) * 2) % 11, 10)
  return digits[0] !== 0 && (11 - product) % 10 === digits[10]
}

/** Finland: the last character is the number modulo 31. */
function isHetu(digits: number[], text: string): boolean {
  const number = Number(digits.slice(0, 9).join(''))
  return isDate(digits, 0, 2) && '0123456789ABCDEFHJKLMNPRSTUVWXY'[number % 31] === text.at(-1)
}

/** South Korea. */
const isRrn = (digits: number[]): boolean =>
  isDate(digits, 4, 2) && (11 - (weighted(digits, [2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5]) % 11)) % 10 === digits[12]

/** Singapore. */
function isNric(digits: number[], text: string): boolean {
  const sum = weighted(digits, [2, 7, 6, 5, 4, 3, 2]) + (/^[TG]/i.test(text) ? 4 : 0)
  return (/^[ST]/i.test(text) ? 'JZIHGFEDCBA' : 'XWUTRQPNMLK')[sum % 11] === text.at(-1)?.toUpperCase()
}

/** The United Kingdom's National Health Service. */
const isNhs = (digits: number[]): boolean =>
  isVaried(digits) && (11 - (weighted(digits, [10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11)) % 11 === digits[9]

/** The Netherlands. */
const isBsn = (digits: number[]): boolean =>
  isVaried(digits) && weighted(digits, [9, 8, 7, 6, 5, 4, 3, 2, -1]) % 11 === 0

const isOneOfEleven = (digits: number[]): boolean =>
  [isCpf, isPesel, isTckn, isFodselsnummer, isSteuerId].some((isValid) => isValid(digits))

const FORMS: Form[] = [
  { letters: 0, digits: 3, next: '.', pattern: /^\d{3}\.\d{3}\.\d{3}-\d{2}/, isValid: isCpf },
  { letters: 0, digits: 3, next: '.', pattern: /^756\.\d{4}\.\d{4}\.\d{2}/, isValid: isAhv },
  { letters: 0, digits: 3, next: ' -', pattern: /^\d{3}([ -])\d{3}\1\d{4}/, isValid: isNhs, label: true },
  { letters: 0, digits: 3, next: ' -', pattern: /^\d{3}([ -])\d{3}\1\d{3}/, isValid: isLuhn, label: true },
  { letters: 0, digits: 4, next: ' -', pattern: /^\d{4}([ -])\d{4}\1\d{4}/, isValid: isVaried, label: true },
  { letters: 0, digits: 8, next: '-A', pattern: /^\d{8}-?[A-Z]/, isValid: isDni },
  { letters: 1, digits: 7, next: '-A', pattern: /^[XYZ]\d{7}-?[A-Z]/, isValid: isDni },
  { letters: 1, digits: 7, next: 'A', pattern: /^[STFG]\d{7}[A-Z]/, isValid: isNric },
  {
    letters: 6,
    digits: 2,
    next: 'A',
    pattern: /^[A-Z]{6}\d\d[A-EHLMPRST]\d\d[A-Z]\d{3}[A-Z]/i,
    isValid: isCodiceFiscale,
  },
  { letters: 0, digits: 17, next: 'A', pattern: /^\d{17}X/i, isValid: isResidentId },
  { letters: 0, digits: 18, next: '', pattern: /^\d{18}/, isValid: isResidentId },
  { letters: 0, digits: 15, next: '', pattern: /^[12]\d{14}/, isValid: isNir },
  { letters: 0, digits: 1, next: ' ', pattern: /^[12] \d\d (?:0[1-9]|1[0-2]) \d\d \d{3} \d{3} \d\d/, isValid: isNir },
  { letters: 0, digits: 6, next: '-', pattern: /^\d{6}-[1-4]\d{6}/, isValid: isRrn },
  { letters: 0, digits: 6, next: '-+A', pattern: /^\d{6}[-+A]\d{3}[\dA-Y]/, isValid: isHetu },
  {
    letters: 0,
    digits: 6,
    next: '-+',
    pattern: /^\d{6}[-+]\d{4}/,
    isValid: (digits) => isDate(digits, 4, 2) && isLuhn(digits),
  },
  { letters: 2, digits: 6, next: 'A', pattern: /^[A-CEGHJ-PRSTW-Z][A-CEGHJ-NPRSTW-Z]\d{6}[A-D]/, isValid: () => true },
  { letters: 0, digits: 11, next: '', pattern: /^\d{11}/, isValid: isOneOfEleven, label: true },
  { letters: 0, digits: 10, next: '', pattern: /^\d{10}/, isValid: isNhs, label: true },
  {
    letters: 0,
    digits: 9,
    next: '',
    pattern: /^\d{9}/,
    isValid: (digits) => isBsn(digits) || isLuhn(digits),
    label: true,
  },
  { letters: 0, digits: 12, next: '', pattern: /^\d{12}/, isValid: isVaried, label: true },
]
/** Kinds of characters after the first group: 0 for all that end a number. */
const SIGNS = ' -.+'
const LETTER_OR_DIGIT = SIGNS.length + 1
const NEXT_KINDS = LETTER_OR_DIGIT + 1

function nextKind(code: number): number {
  if (isAlphanumeric(code)) return LETTER_OR_DIGIT
  return code === ascii.SPACE || (code >= ascii.PLUS && code <= ascii.DOT)
    ? SIGNS.indexOf(String.fromCharCode(code)) + 1
    : 0
}

const FORMS_BY_SHAPE: (Form[] | undefined)[] = Array(256 * NEXT_KINDS)
for (const form of FORMS) {
  const kinds = [...form.next].map((next) => nextKind(next.charCodeAt(0)))
  for (const kind of form.next === '' ? Array(LETTER_OR_DIGIT).keys() : kinds) {
    const key = shapeKey(form.letters, form.digits, kind)
    FORMS_BY_SHAPE[key] = [...(FORMS_BY_SHAPE[key] ?? []), form]
  }
}

function shapeKey(letters: number, digits: number, kind: number): number {
  return (letters * 32 + digits) * NEXT_KINDS + kind
}

/** Finds the number that begins with a word's `start`, whose first group of `length` digits is at `digit`. */
export function findNationalId(window: TextWindow, start: number, digit: number, length: number): Match | null {
  window.candidate = start
  const next = window.at(digit + length)
  const forms = FORMS_BY_SHAPE[shapeKey(digit - start, length, nextKind(next))]
  // Short groups are common: another must follow, and with spaces between, none may precede.
  if (!forms || (length < 5 && start === digit && !isPartOfOne(window, digit, length))) return null
  const isNamed = followsWord(window, start)
  for (const form of forms) {
    if (form.label && !isNamed) continue
    const end = matchForm(window, start, form)
    if (end > 0) return { type: 'national_id', start, end }
    if (window.cut) return null
  }
  return null
}

function isPartOfOne(window: TextWindow, digit: number, length: number): boolean {
  const end = digit + length
  return (kindOf(window.at(end + 1)) & DIGIT) !== 0 && !(window.at(end) === ascii.SPACE && followsFigure(window, digit))
}

/** Returns the end of a number of this form, or -1. */
function matchForm(window: TextWindow, start: number, { pattern, isValid, label }: Form): number {
  let textEnd = start
  while (textEnd - start < MAX_TEXT && isOfNumber(window.at(textEnd))) textEnd++
  if (textEnd - start < MIN_TEXT) return -1
  const text = window.text.slice(start, textEnd)
  const found = pattern.exec(text)?.[0]
  if (!found || isAlphanumeric(text.charCodeAt(found.length))) return -1
  const digits = [...found].filter((character) => character >= '0' && character <= '9').map(Number)
  if (!isValid(digits, found) || (label && !LABEL.test(labelBefore(window, start, MAX_LABEL)))) return -1
  return start + found.length
}

function isOfNumber(code: number): boolean {
  return code < ascii.END && (isAlphanumeric(code) || isMark(code))
}

const isMark = ascii.oneOf(' +-.')
