/** US social security numbers: 3-2-4 digits of an area, group and serial that can be issued. */
import {
  beginsAlone,
  CONTEXT,
  DigitReader,
  endsAlone,
  isDigitAt,
  readSeparator,
  separator,
  textBefore,
} from './digits.ts'
import type { Match } from './match.ts'
import type { TextWindow } from './text-window.ts'

const SSN_WORD = /ssn|social security|social sec|soc\.? sec|my social|seguro social|\btin\b|taxpayer id/

/** Nine bare digits are a number of any kind, so the word has to be close by. */
const CLOSE = 48

/** The number whose first digit is at `start`. With hyphens it is one by its form; else a word must say so. */
export function findSsn(window: TextWindow, start: number): Match | null {
  window.candidate = start
  const reader = new DigitReader()
  const area = reader.take(window, start, 3)
  if (area < 0) return null
  const group = readSeparator(window, area)
  const form = separator
  if (form === '/') return null
  const afterGroup = reader.take(window, group, 2)
  if (afterGroup < 0) return null
  const serial = readSeparator(window, afterGroup)
  if (separator !== form) return null
  const end = reader.take(window, serial, 4)
  if (end < 0 || isDigitAt(window, end) || !isIssuable(reader.values)) return null
  if (!beginsAlone(window, start) || !endsAlone(window, end)) return null
  if (form !== '-' && !SSN_WORD.test(textBefore(window, start, form === '' ? CLOSE : CONTEXT))) return null
  return { type: 'ssn', start, end }
}

function isIssuable(values: Uint8Array): boolean {
  const area = number(values, 0, 3)
  return area !== 0 && area !== 666 && area < 900 && number(values, 3, 5) !== 0 && number(values, 5, 9) !== 0
}

function number(values: Uint8Array, from: number, to: number): number {
  let value = 0
  for (let i = from; i < to; i++) value = value * 10 + (values[i] as number)
  return value
}
