/** Credit card numbers: a prefix and length of a known network, and the Luhn check digit. */
import { beginsAlone, DigitReader, endsAlone, textBefore } from './digits.ts'
import type { Match } from './match.ts'
import type { TextWindow } from './text-window.ts'

const CARD_WORD =
  /card|visa|master|maestro|amex|american express|diners|discover|jcb|credit|debit|\bpan\b|\bcc\b|payment/
/** What has to stand right before a number of no network we know. */
const CARD_LABEL = /(?:card|visa|maestro|amex|\bpan\b)[^\d]{0,16}$/

/** The most digits a card has. */
const LONGEST = 19

const digits = new DigitReader()

/** The number whose first digit is at `start`: in one piece, or grouped as on the card (4-4-4-4, 4-6-5, 4-6-4). */
export function findCreditCard(window: TextWindow, start: number): Match | null {
  window.candidate = start
  digits.begin(window)
  const end = digits.takeAll(start)
  if (digits.count !== 4) return digits.count < 12 || digits.isDigitAt(end) ? null : accept(window, start, end)
  return findGrouped(window, start, end)
}

function findGrouped(window: TextWindow, start: number, firstEnd: number): Match | null {
  let end = firstEnd
  let form = ''
  let second = 0
  for (let group = 1; group < 5 && digits.count < LONGEST; group++) {
    const before = digits.count
    const next = digits.separator(end)
    if (group === 1) form = digits.form
    if (digits.form !== form || (form !== ' ' && form !== '-' && form !== '.')) return null
    end = digits.takeAll(next)
    const length = digits.count - before
    if (group === 1) second = length
    if (second === 4 ? length !== 4 && group < 4 : second !== 6 || group > 2) return null
    if (digits.count < 14) continue
    const match = accept(window, start, end)
    if (match) return match
  }
  return null
}

function accept(window: TextWindow, start: number, end: number): Match | null {
  if (digits.count > LONGEST || !passesLuhn() || !endsAlone(window, end)) return null
  const context = textBefore(window, start, 64)
  // `card4111…`: the word is glued to the number.
  if (!beginsAlone(window, start) && !/(?:card|pan|cc|visa)$/.test(context)) return null
  const evidence = network()
  const isCard = evidence === 'clear' || (evidence === 'rare' ? CARD_WORD : CARD_LABEL).test(context)
  return isCard ? { type: 'credit_card', start, end } : null
}

/** Whether a network issues such numbers: 'clear' by prefix and length; 'rare' and 'unknown' need a word as well. */
function network(): 'clear' | 'rare' | 'unknown' {
  const count = digits.count
  const prefix = digits.number(0, 4)
  const two = Math.floor(prefix / 100)
  if (two === 34 || two === 37) return count === 15 ? 'clear' : 'unknown'
  if (prefix >= 4000 && prefix <= 4999)
    return count === 16 ? 'clear' : count === 13 || count === 19 ? 'rare' : 'unknown'
  if ((two >= 51 && two <= 55) || (prefix >= 2221 && prefix <= 2720)) return count === 16 ? 'clear' : 'unknown'
  if ((prefix >= 3000 && prefix <= 3059) || prefix === 3095 || two === 36 || two === 38 || two === 39) {
    return count === 14 || count === 16 ? 'clear' : 'unknown'
  }
  if (prefix === 6011 || two === 65 || two === 62 || two === 81 || (prefix >= 6440 && prefix <= 6499)) {
    return count >= 16 ? 'clear' : 'unknown'
  }
  if (prefix >= 3528 && prefix <= 3589) return count >= 16 ? 'clear' : 'unknown'
  if (MAESTRO.has(prefix) && count === 16) return 'clear'
  if (prefix === 2131 || prefix === 1800) return count === 15 ? 'rare' : 'unknown'
  return two === 50 || (two >= 56 && two <= 69) ? 'rare' : 'unknown'
}

const MAESTRO = new Set([5018, 5019, 5020, 5038, 5893, 6304, 6759, 6761, 6762, 6763])

function passesLuhn(): boolean {
  const { values, count } = digits
  let sum = 0
  for (let i = 0; i < count; i++) {
    const digit = values[count - 1 - i] as number
    const weighted = i % 2 === 1 ? digit * 2 : digit
    sum += weighted > 9 ? weighted - 9 : weighted
  }
  return sum > 0 && sum % 10 === 0
}
