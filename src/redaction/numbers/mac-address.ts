/** Hardware addresses: six pairs of hexadecimal digits with the same separator. */
import * as ascii from '../../core/ascii.ts'
import { isAlphanumeric } from '../text/characters.ts'
import { beginsWord } from '../text/digits.ts'
import { hexValue } from '../text/escapes.ts'
import type { Match } from '../text/match.ts'
import type { TextWindow } from '../text/text-window.ts'

/** Finds the address whose first colon or hyphen is at `sign`. */
export function findMac(window: TextWindow, sign: number): Match | null {
  const start = sign - 2
  if (start < window.floor || hexValue(window.before(sign)) < 0 || hexValue(window.before(sign - 1)) < 0) return null
  const before = window.before(start)
  if (before === ascii.COLON || before === ascii.HYPHEN || !beginsWord(window, start)) return null
  window.candidate = start
  const mark = window.text.charCodeAt(sign)
  for (let pair = sign; pair < sign + 15; pair += 3) {
    if (window.at(pair) !== mark || hexValue(window.at(pair + 1)) < 0 || hexValue(window.at(pair + 2)) < 0) return null
  }
  const end = sign + 15
  if (isAlphanumeric(window.at(end)) || (window.at(end) === mark && hexValue(window.at(end + 1)) >= 0)) return null
  // Uniform ones, such as 00:00:00:00:00:00, belong to no device.
  return new Set(window.text.slice(start, end)).size < 3 ? null : { type: 'mac', start, end }
}
