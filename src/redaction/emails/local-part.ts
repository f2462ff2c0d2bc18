/** The part of an e-mail address before the at sign, read backwards from it. */
import * as ascii from '../../core/ascii.ts'
import { DIGIT, IGNORED, isAlphanumeric, isIdeographic, kindOf, LETTER, LOCAL } from '../text/characters.ts'
import { endsColor, escapeBefore } from '../text/escapes.ts'

/** Maximum length of a local part, in raw characters (64 are legal; escapes take more). */
export const MAX_LOCAL = 96

const NUL = 0

/** Returns the start of a local part that ends at `end`; `end` without one. */
export function localStart(text: string, end: number, floor: number): number {
  let start = localRun(text, end, floor)
  // `\njane@` and `\u2028jane@`: what follows the backslash is not part of the name.
  if (start > 0 && text.charCodeAt(start - 1) === ascii.BACKSLASH && kindOf(text.charCodeAt(start)) & LETTER)
    start += /^(?:u[\da-f]{4}|[bfnrt])?/i.exec(text.slice(start, start + 5))?.[0].length ?? 0
  // `\x1b[1;32mjane@`: nor is the end of a color sequence.
  if (kindOf(text.charCodeAt(start)) & DIGIT) {
    const color = /^\d{1,3}m/.exec(text.slice(start, start + 4))?.[0].length ?? 0
    if (color > 0 && endsColor(text, start + color)) start += color
  }
  for (let i = end - 1; i > start; i--) {
    if (!isIdeographic(text.charCodeAt(i - 1))) continue
    const code = text.charCodeAt(i)
    if (code < ascii.END && kindOf(code) & LETTER) {
      start = i
      break
    }
  }
  while (start < end && !isAlphanumeric(text.charCodeAt(start)) && text.charCodeAt(start) !== ascii.UNDERSCORE) start++
  let names = start
  while (names < end && text.charCodeAt(names) === ascii.UNDERSCORE) names++
  return names === end ? end : start
}

/** Goes back over all characters of a local part, escapes included. */
export function localRun(text: string, end: number, floor: number): number {
  const limit = Math.max(floor, end - MAX_LOCAL)
  let start = end
  while (start > limit) {
    const escaped = escapeBefore(text, start)
    const code = escaped?.code ?? text.charCodeAt(start - 1)
    const length = escaped?.length ?? 1
    if (!(code === NUL || kindOf(code) & (LOCAL | IGNORED)) || start - length < limit) break
    start -= length
  }
  return start
}
