/** Credit card numbers: a prefix and length of a known network with the Luhn check digit, or a word right before. */
import { isSpoiledTestCard } from '../code/published.ts'
import { beginsAlone, DigitReader, endsAlone, followsWord, type Separator, textBefore } from '../text/digits.ts'
import { passesLuhn } from '../text/luhn.ts'
import type { Match } from '../text/match.ts'
import type { TextWindow } from '../text/text-window.ts'

const CARD_WORD =
  /card|visa|master|maestro|amex|american express|diners|discover|jcb|credit|debit|\bpan\b|\bcc\b|payment/
/** Required right before a number of an unknown network. */
const CARD_LABEL = /(?:card|visa|maestro|amex|\bpan\b)[^\d]{0,16}$/
/** Right before a number with a wrong check digit: people invent and mistype them. */
const CARD_NUMBER =
  /(?:\bcards?|\bvisa|\bmaestro|\bmastercard|\bamex)(?:[ _-]?(?:number|no\.?|num|#))?(?: is)?["']?[ :=#]{0,3}["']?$/

/** Maximum digits of a card number. */
const MAX_DIGITS = 19

const digits = new DigitReader()

/** Finds the number whose first digit is at `start`: in one piece, or grouped as on cards (4-4-4-4, 4-6-5, 4-6-4). */
export function findCreditCard(window: TextWindow, start: number): Match | null {
  window.candidate = start
  digits.begin(window)
  const end = digits.takeAll(start)
  // A number of a network that is not known needs a label. This is checked first, since rows of figures are common.
  if (!mayBeKnown() && !followsWord(window, start)) return null
  if (digits.count !== 4) return digits.count < 12 || digits.isDigitAt(end) ? null : accept(window, start, end)
  return findGrouped(window, start, end)
}

const GROUPED: ReadonlySet<Separator> = new Set([' ', '-', '.', '_', '<>'])

function findGrouped(window: TextWindow, start: number, firstEnd: number): Match | null {
  let end = firstEnd
  let form: Separator = ''
  let second = 0
  for (let group = 1; group < 5 && digits.count < MAX_DIGITS; group++) {
    const before = digits.count
    const next = digits.separator(end)
    if (group === 1) form = digits.form
    if (digits.form !== form || !GROUPED.has(form)) return null
    end = digits.takeAll(next)
    const length = digits.count - before
    if (group === 1) second = length
    if (second === 4 ? length !== 4 && group < 4 && !isShortAmex(group, length) : second !== 6 || group > 2) return null
    if (digits.count < 14) continue
    const match = accept(window, start, end, form)
    if (match) return match
    if (length === 3) return null
  }
  return null
}

/** American Express in groups of four: the last has three. */
function isShortAmex(group: number, length: number): boolean {
  const two = digits.number(0, 2)
  return group === 3 && length === 3 && (two === 34 || two === 37)
}

function accept(window: TextWindow, start: number, end: number, form: Separator = ''): Match | null {
  if (digits.count > MAX_DIGITS || !endsAlone(window, end, form)) return null
  const isCard = passesLuhn(digits.values, digits.count)
    ? isCardNumber(window, start, form)
    : isLabeledCard(window, start)
  return isCard ? { type: 'credit_card', start, end } : null
}

function isCardNumber(window: TextWindow, start: number, form: Separator): boolean {
  const evidence = network()
  if (evidence === 'unknown' && !followsWord(window, start)) return false
  const context = textBefore(window, start, 64)
  // `card4111…`: the word is glued to the number.
  if (!beginsAlone(window, start, form) && !/(?:card|pan|cc|visa)$/.test(context)) return false
  return evidence === 'clear' || (evidence === 'rare' ? CARD_WORD : CARD_LABEL).test(context)
}

/** As long as most cards, no test number, and labeled as one. */
function isLabeledCard(window: TextWindow, start: number): boolean {
  const { values, count } = digits
  if (count < 15 || count > 16 || !beginsAlone(window, start)) return false
  if (!followsWord(window, start) || !CARD_NUMBER.test(textBefore(window, start, 40))) return false
  const number = values.subarray(0, count)
  return number.subarray(0, -1).some((digit) => digit !== values[0]) && !isSpoiledTestCard(number.join(''))
}

/** Whether a word for cards is near, so that a number of any form may be one's. */
export const isCardNear = (window: TextWindow, start: number): boolean => CARD_WORD.test(textBefore(window, start, 64))

/** Whether the first digits are those of any network that `network` knows. */
function mayBeKnown(): boolean {
  const first = digits.values[0] as number
  return (first > 1 && first !== 7 && first < 9) || digits.number(0, 4) === 1800
}

/** Whether a network issues such numbers: 'clear' by prefix and length; 'rare' and 'unknown' also need a word. */
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
