/**
 * Phone numbers. North American ones by their form and valid area and exchange codes, bare ten digits only where a word
 * says phone; international ones by `+`, `00` or `011`, a country code in use and a length that country has.
 */

import { DIGIT, isAlphanumeric, kindOf, plain } from './characters.ts'
import { nationalLengths } from './country-codes.ts'
import {
  beginsAlone,
  DigitReader,
  endsAlone,
  endsEscape,
  isDigitAt,
  readSeparator,
  separator,
  textBefore,
} from './digits.ts'
import type { Match } from './match.ts'
import type { TextWindow } from './text-window.ts'

const PHONE_WORD =
  /phone|\btel\b|\btel[.:]|tele|call|cell|mobile|mobil|fax|\bdial|\bring\b|\btext\b|sms|whatsapp|wa\.me|reach|contact|hotline|\bline\b|\bph\b|voicemail|móvil|celular|handy|फोन/
/** Between the word and the number: it belongs to something else. */
const OTHER_WORD =
  /\b(?:id|npi|order|account|acct|case|invoice|ref|isbn|serial|ticket|part|sku|policy|member|mrn|ein|zip|code)\b[^\d]{0,12}$/

/** How close the word has to be to a number that could be anything. */
const CLOSE = 48

/** The number whose first digit is at `digit`; a plus or bracket before it belongs to it. */
export function findPhone(window: TextWindow, digit: number): Match | null {
  const lead = readLead(window, digit)
  window.candidate = lead.start
  if (!beginsAlone(window, lead.start)) return null
  const end = lead.plus ? internationalEnd(window, digit, lead.bracket) : localEnd(window, digit, lead)
  if (end < 0) return null
  const withExtension = extensionEnd(window, end)
  return withExtension > end || endsAlone(window, end) ? { type: 'phone', start: lead.start, end: withExtension } : null
}

interface Lead {
  start: number
  plus: boolean
  bracket: boolean
}

/** `+`, `(`, `(+` or `%2B` before the first digit. */
function readLead(window: TextWindow, digit: number): Lead {
  let start = digit
  let plus = false
  let bracket = false
  if (start > window.floor && plain(window.before(start)) === 0x28) {
    bracket = true
    start--
  } else if (start > window.floor && plain(window.before(start)) === 0x2b) {
    plus = true
    start--
  } else if (start - 3 >= window.floor && window.text.slice(start - 3, start).toUpperCase() === '%2B') {
    plus = true
    start -= 3
  }
  if (plus && start > window.floor && window.before(start) === 0x28) {
    bracket = true
    start--
  }
  // `a+4155550132` and `1+1` are sums.
  if (plus && isAlphanumeric(window.before(start)) && !endsEscape(window, start))
    return { start: digit, plus: false, bracket: false }
  return { start, plus, bracket }
}

/** Without a plus: North American, or international after 00 or 011. */
function localEnd(window: TextWindow, digit: number, lead: Lead): number {
  if (window.at(digit) === 0x30) return lead.bracket ? -1 : prefixedEnd(window, digit)
  return northAmericanEnd(window, digit, lead)
}

/** [1] area exchange number, or -1. */
function northAmericanEnd(window: TextWindow, digit: number, lead: Lead): number {
  const reader = new DigitReader()
  let position = digit
  let bracket = lead.bracket
  let separated = bracket
  const country = reader.take(window, position, 1)
  if (country < 0) return -1
  if (reader.values[0] === 1 && !bracket) {
    position = readSeparator(window, country)
    if (separator !== '') separated = true
    if (plain(window.at(position)) === 0x28) {
      bracket = true
      position++
    }
  }
  reader.count = 0
  const area = reader.take(window, position, 3)
  if (area < 0 || (reader.values[0] as number) < 2) return -1
  let exchange = area
  if (bracket) {
    if (plain(window.at(area)) !== 0x29) return -1
    exchange = area + 1
    separated = true
  }
  exchange = readSeparator(window, exchange)
  if (separator !== '') separated = true
  const spaced = separator === ' '
  const number = reader.take(window, exchange, 3)
  if (number < 0 || (reader.values[3] as number) < 2)
    return vanityEnd(window, exchange, separated && exchange > area ? 7 : 0)
  const last = readSeparator(window, number)
  if (separator === '/') return -1
  const end = reader.take(window, last, 4)
  if (end < 0) return vanityEnd(window, last, bracket && last > number ? 4 : 0)
  if (isDigitAt(window, end)) return -1
  if (separated && last > number) {
    // Three groups between spaces after another number are a row of figures.
    const alone =
      !spaced || bracket || plain(window.before(digit)) !== 0x20 || !(kindOf(window.before(digit - 1)) & DIGIT)
    return alone ? end : -1
  }
  return separated || isPhoneNear(window, lead.start) ? end : -1
}

/** A word instead of digits (`1-800-FLOWERS`): exactly so many capitals and digits, or -1. */
function vanityEnd(window: TextWindow, start: number, length: number): number {
  if (length === 0) return -1
  for (let i = start; i < start + length; i++) {
    const code = window.at(i)
    if (!((code >= 0x41 && code <= 0x5a) || (code >= 0x30 && code <= 0x39))) return -1
  }
  return isAlphanumeric(window.at(start + length)) ? -1 : start + length
}

/** After a plus: a country code in use, and as many digits as that country has. */
function internationalEnd(window: TextWindow, digit: number, bracket: boolean): number {
  const reader = new DigitReader()
  return countryNumberEnd(window, digit, reader, bracket)
}

/** After 00 or 011 in place of the plus. */
function prefixedEnd(window: TextWindow, digit: number): number {
  const reader = new DigitReader()
  const two = reader.take(window, digit, 2)
  if (two < 0) return -1
  let position = two
  if (reader.values[1] === 1) {
    position = reader.take(window, two, 1)
    if (position < 0 || reader.values[2] !== 1) return -1
  } else if (reader.values[1] !== 0) return -1
  position = readSeparator(window, position)
  if (separator === '.' || separator === '/' || separator === ' - ') return -1
  reader.count = 0
  const first = reader.take(window, position, 1)
  if (first < 0 || reader.values[0] === 0) return -1
  const end = countryNumberEnd(window, position, reader, false)
  if (end < 0) return -1
  return groups >= 3 || isPhoneNear(window, digit) ? end : -1
}

/** How many groups of digits `countryNumberEnd` passed. */
let groups = 0

function countryNumberEnd(window: TextWindow, begin: number, reader: DigitReader, bracket: boolean): number {
  reader.count = 0
  groups = 0
  let end = -1
  let position = begin
  let open = bracket
  const trunk = 0
  for (;;) {
    const before = reader.count
    const after = reader.takeAll(window, position)
    if (reader.count === before || reader.count - trunk > 15) break
    groups++
    // `+49 (0)30`: the zero is dialled at home only.
    if (open && groups > 1 && reader.count === before + 1 && reader.values[before] === 0) {
      reader.count = before
    }
    const valid = isCountryNumber(reader)
    if (valid) end = after
    else if (end > 0) break
    let next = after
    if (open && plain(window.at(next)) === 0x29) {
      open = false
      next++
      if (valid) end = next
    }
    next = readSeparator(window, next)
    if (separator === ' ' || separator === ' - ') {
      // one separator
    } else if (separator !== '') {
      const spaced = window.read(next)
      if (window.code === 0x20) next = spaced
    }
    if (!open && plain(window.at(next)) === 0x28) {
      open = true
      next++
    }
    if (next === after || !isDigitAt(window, next)) break
    position = next
  }
  return end
}

/** Country code and national number have lengths that go together. */
function isCountryNumber({ values, count }: DigitReader): boolean {
  if (values[0] === 1) {
    return count === 11 && (values[1] as number) > 1 && (values[4] as number) > 1
  }
  for (let length = 1; length <= 3; length++) {
    let country = 0
    for (let i = 0; i < length; i++) country = country * 10 + (values[i] ?? 0)
    const lengths = nationalLengths(country)
    if (lengths) {
      const national = count - length
      return national >= lengths.min && national <= lengths.max
    }
  }
  return false
}

function isPhoneNear(window: TextWindow, start: number): boolean {
  const text = textBefore(window, start, CLOSE)
  return PHONE_WORD.test(text) && !OTHER_WORD.test(text)
}

/** The end including an extension (`ext. 44`, `x44`, `;ext=44`), or the same position. */
function extensionEnd(window: TextWindow, end: number): number {
  let position = end
  let code = window.at(position)
  if (code === 0x3b || code === 0x2c) code = window.at(++position)
  if (code === 0x20) code = window.at(++position)
  let word = ''
  while (word.length < 10 && ((code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a))) {
    word += String.fromCharCode(code | 0x20)
    if (!EXTENSION_WORDS.some((extension) => extension.startsWith(word))) return end
    code = window.at(++position)
  }
  if (!EXTENSION_WORDS.includes(word)) return end
  if (code === 0x2e || code === 0x3d || code === 0x3a) code = window.at(++position)
  if (code === 0x20) code = window.at(++position)
  const first = position
  while (position - first < 7 && kindOf(code) & DIGIT) code = window.at(++position)
  return position > first && position - first < 7 && !isAlphanumeric(code) ? position : end
}

const EXTENSION_WORDS = ['x', 'ext', 'extn', 'extension']
