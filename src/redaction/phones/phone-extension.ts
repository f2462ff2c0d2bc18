/** Extensions after a phone number: `x4417`, `ext. 44`, `;ext=44`. */
import * as ascii from '../../core/ascii.ts'
import { DIGIT, isAlphanumeric, kindOf } from '../text/characters.ts'
import type { TextWindow } from '../text/text-window.ts'

const EXTENSION_WORDS = ['x', 'ext', 'extn', 'extension']

/** Returns the end including an extension (`ext. 44`, `x44`, `;ext=44`), or the same position. */
export function extensionEnd(window: TextWindow, end: number): number {
  let position = end
  if (window.at(position) === ascii.SEMICOLON || window.at(position) === ascii.COMMA) position++
  if (window.at(position) === ascii.SPACE) position++
  position = readWord(window, position, EXTENSION_WORDS)
  if (position < 0) return end
  const mark = window.at(position)
  if (mark === ascii.DOT || mark === ascii.EQUALS || mark === ascii.COLON) position++
  if (window.at(position) === ascii.SPACE) position++
  const first = position
  while (position - first < 7 && kindOf(window.at(position)) & DIGIT) position++
  return position > first && position - first < 7 && !isAlphanumeric(window.at(position)) ? position : end
}

/** Returns the end of the word at a position if it is one of `words`, or -1. */
export function readWord(window: TextWindow, start: number, words: string[]): number {
  let word = ''
  for (let position = start; ; position++) {
    const lower = window.at(position) | ascii.LOWER_CASE
    if (lower < ascii.LOWER_A || lower > ascii.LOWER_Z) return words.includes(word) ? position : -1
    word += String.fromCharCode(lower)
    if (!words.some((known) => known.startsWith(word))) return -1
  }
}
