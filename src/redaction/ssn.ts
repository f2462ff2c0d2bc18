/** US social security numbers: 3-2-4 digits of an area, group and serial that can be issued. */
import { beginsAlone, DigitReader, endsAlone, labelBefore, textBefore } from './digits.ts'
import type { Match } from './match.ts'
import type { TextWindow } from './text-window.ts'

const SSN_WORD = /ssn|social sec|soc\.? sec|my social|seguro social|\btin\b|taxpayer id/
/** Nine bare digits are a number of any kind, so the word has to be close by. */
const CLOSE = 48

const digits = new DigitReader()

/** The number whose first digit is at `start`. With hyphens it is one by its form; else a word must say so. */
export function findSsn(window: TextWindow, start: number): Match | null {
  window.candidate = start
  digits.begin(window)
  const area = digits.take(start, 3)
  if (area < 0) return null
  const group = digits.separator(area)
  const form = digits.form
  if (form === '/') return null
  const afterGroup = digits.take(group, 2)
  if (afterGroup < 0) return null
  const serial = digits.separator(afterGroup)
  if (digits.form !== form) return null
  const end = digits.take(serial, 4)
  if (end < 0 || digits.isDigitAt(end) || !isIssuable()) return null
  if (!beginsAlone(window, start) || !endsAlone(window, end)) return null
  if (form === '-') return { type: 'ssn', start, end }
  const context = form === '' ? labelBefore(window, start, CLOSE) : textBefore(window, start)
  return SSN_WORD.test(context) ? { type: 'ssn', start, end } : null
}

/** `2 1 9 - 0 9 - 9 9 9 8`, where a word says what it is. */
export function findSpacedSsn(window: TextWindow, start: number): Match | null {
  window.candidate = start
  digits.begin(window)
  let position = start
  for (let taken = 0; taken < 9; taken++) {
    if (taken > 0) {
      position = digits.separator(position)
      const isBorder = taken === 3 || taken === 5
      if (digits.form !== ' ' && !(isBorder && digits.form === ' - ')) return null
    }
    position = digits.take(position, 1)
    if (position < 0) return null
  }
  if (digits.isDigitAt(position) || !isIssuable() || !beginsAlone(window, start) || !endsAlone(window, position))
    return null
  return SSN_WORD.test(labelBefore(window, start, CLOSE)) ? { type: 'ssn', start, end: position } : null
}

function isIssuable(): boolean {
  const area = digits.number(0, 3)
  return area !== 0 && area !== 666 && area < 900 && digits.number(3, 5) !== 0 && digits.number(5, 9) !== 0
}
