/** Credit card numbers: a prefix and length of a known network, and the Luhn check digit. */
import { beginsAlone, DigitReader, endsAlone, isDigitAt, readSeparator, separator, textBefore } from './digits.ts'
import type { Match } from './match.ts'
import type { TextWindow } from './text-window.ts'

const CARD_WORD =
  /card|visa|master|maestro|amex|american express|diners|discover|jcb|credit|debit|\bpan\b|\bcc\b|payment/

/** Groups as they are printed on cards. */
const GROUPS = [
  [4, 4, 4, 4, 3],
  [4, 6, 5],
  [4, 6, 4],
]

/** The number whose first digit is at `start`. */
export function findCreditCard(window: TextWindow, start: number): Match | null {
  window.candidate = start
  const first = new DigitReader()
  const end = first.takeAll(window, start)
  if (first.count === 4) return findGrouped(window, start)
  if (first.count < 12 || first.count > 19 || isDigitAt(window, end)) return null
  return accept(window, start, end, first)
}

function findGrouped(window: TextWindow, start: number): Match | null {
  for (const groups of GROUPS) {
    const reader = new DigitReader()
    let end = -1
    let position = start
    let form = ''
    for (let i = 0; i < groups.length; i++) {
      if (i > 0) {
        position = readSeparator(window, end)
        if (i === 1) form = separator
        if (separator !== form || (form !== ' ' && form !== '-')) break
      }
      const next = reader.take(window, position, groups[i] as number)
      if (next < 0) break
      end = next
      if (reader.count >= 14 && !isDigitAt(window, end)) {
        const match = accept(window, start, end, reader)
        if (match) return match
      }
    }
  }
  return null
}

function accept(window: TextWindow, start: number, end: number, reader: DigitReader): Match | null {
  if (!passesLuhn(reader) || !endsAlone(window, end)) return null
  const certainty = network(reader)
  if (certainty === 'none') return null
  const context = textBefore(window, start, 64)
  // `card4111…`: the word is glued to the number.
  if (!beginsAlone(window, start) && !/(?:card|pan|cc|visa)$/.test(context)) return null
  return certainty === 'clear' || CARD_WORD.test(context) ? { type: 'credit_card', start, end } : null
}

/** Whether a network issues such numbers: 'clear' by prefix and length, 'rare' where only a word nearby decides. */
function network(reader: DigitReader): 'clear' | 'rare' | 'none' {
  const { count, values } = reader
  const prefix = (values[0] ?? 0) * 1000 + (values[1] ?? 0) * 100 + (values[2] ?? 0) * 10 + (values[3] ?? 0)
  const two = Math.floor(prefix / 100)
  if (two === 34 || two === 37) return count === 15 ? 'clear' : 'none'
  if (values[0] === 4) return count === 16 ? 'clear' : count === 13 || count === 19 ? 'rare' : 'none'
  if ((two >= 51 && two <= 55) || (prefix >= 2221 && prefix <= 2720)) return count === 16 ? 'clear' : 'none'
  if ((prefix >= 3000 && prefix <= 3059) || prefix === 3095 || two === 36 || two === 38 || two === 39) {
    return count === 14 || count === 16 ? 'clear' : 'none'
  }
  if (prefix === 6011 || two === 65 || (prefix >= 6440 && prefix <= 6499)) return count >= 16 ? 'clear' : 'none'
  if (prefix >= 3528 && prefix <= 3589) return count >= 16 ? 'clear' : 'none'
  if (prefix === 2131 || prefix === 1800) return count === 15 ? 'rare' : 'none'
  if (two === 62 || two === 81) return count >= 16 ? 'clear' : 'none'
  // Maestro: twelve to nineteen digits, so a word has to help.
  return two === 50 || (two >= 56 && two <= 69) ? 'rare' : 'none'
}

function passesLuhn({ values, count }: DigitReader): boolean {
  let sum = 0
  for (let i = 0; i < count; i++) {
    const digit = values[count - 1 - i] as number
    const weighted = i % 2 === 1 ? digit * 2 : digit
    sum += weighted > 9 ? weighted - 9 : weighted
  }
  return sum > 0 && sum % 10 === 0
}
