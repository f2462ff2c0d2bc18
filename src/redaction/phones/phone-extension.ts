/** Extensions after a phone number: `x4417`, `ext. 44`, `;ext=44`. */
import { DIGIT, isAlphanumeric, kindOf } from '../text/characters.ts'
import type { TextWindow } from '../text/text-window.ts'

const EXTENSION_WORDS = ['x', 'ext', 'extn', 'extension']

/** Returns the end including an extension (`ext. 44`, `x44`, `;ext=44`), or the same position. */
export function extensionEnd(window: TextWindow, end: number): number {
  let position = end
  if (window.at(position) === 0x3b || window.at(position) === 0x2c) position++
  if (window.at(position) === 0x20) position++
  position = readWord(window, position, EXTENSION_WORDS)
  if (position < 0) return end
  const mark = window.at(position)
  if (mark === 0x2e || mark === 0x3d || mark === 0x3a) position++
  if (window.at(position) === 0x20) position++
  const first = position
  while (position - first < 7 && kindOf(window.at(position)) & DIGIT) position++
  return position > first && position - first < 7 && !isAlphanumeric(window.at(position)) ? position : end
}

/** Returns the end of the word at a position if it is one of `words`, or -1. */
export function readWord(window: TextWindow, start: number, words: string[]): number {
  let word = ''
  for (let position = start; ; position++) {
    const lower = window.at(position) | 0x20
    if (lower < 0x61 || lower > 0x7a) return words.includes(word) ? position : -1
    word += String.fromCharCode(lower)
    if (!words.some((known) => known.startsWith(word))) return -1
  }
}
