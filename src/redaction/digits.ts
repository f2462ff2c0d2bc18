/** What the detectors of numbers share: reading digits and separators, and whether a number stands alone. */
import { DIGIT, IGNORED, isAlphanumeric, isGluing, kindOf, plain } from './characters.ts'
import { hexValue, type TextWindow } from './text-window.ts'

/** Reads digits of one number, one group after the other; `values` has them without separators. */
export class DigitReader {
  readonly values = new Uint8Array(24)
  count = 0

  /** The position after exactly `wanted` digits, or -1. More digits may follow: the caller looks. */
  take(window: TextWindow, from: number, wanted: number): number {
    let position = from
    for (let taken = 0; taken < wanted; taken++) {
      let code = window.at(position)
      for (let skipped = 0; kindOf(code) & IGNORED && skipped < 8; skipped++) code = window.at(++position)
      if (!(kindOf(code) & DIGIT)) return -1
      this.values[this.count++] = code & 15
      position++
    }
    return position
  }

  /** The position after all digits from here, at most what fits. */
  takeAll(window: TextWindow, from: number): number {
    let position = from
    while (this.count < this.values.length) {
      const next = this.take(window, position, 1)
      if (next < 0) break
      position = next
    }
    return position
  }
}

export function isDigitAt(window: TextWindow, index: number): boolean {
  return (kindOf(window.at(index)) & DIGIT) !== 0
}

export type Separator = '' | ' ' | '-' | '.' | '/' | ' - '

/** The separator `readSeparator` saw last. */
export let separator: Separator = ''

/** Passes one separator between groups of digits and returns the position after it (the same position when none). */
export function readSeparator(window: TextWindow, from: number): number {
  const next = window.read(from)
  separator = separatorOf(window.code)
  if (separator !== ' ') return separator === '' ? from : next
  const second = window.read(next)
  if (separatorOf(window.code) !== '-') return next
  const third = window.read(second)
  if (separatorOf(window.code) !== ' ') return next
  separator = ' - '
  return third
}

/** A plus is the space of a form in a URL. */
function separatorOf(code: number): Separator {
  switch (code) {
    case 0x20:
    case 0x2b:
      return ' '
    case 0x2d:
      return '-'
    case 0x2e:
      return '.'
    case 0x2f:
      return '/'
    default:
      return ''
  }
}

/** Nothing before a number makes it part of something longer: a word, a decimal, a code with hyphens, a price. */
export function beginsAlone(window: TextWindow, start: number): boolean {
  const before = plain(window.before(start))
  switch (before) {
    case 0x24: // $
    case 0xa3: // £
    case 0x20ac: // €
      return false
    case 0x2e: // .
      return !(kindOf(window.before(start - 1)) & DIGIT)
    case 0x2d: // -
    case 0x5f: // _
      return !isAlphanumeric(window.before(start - 1))
    default:
      return !(kindOf(before) & DIGIT || isGluing(before)) || endsEscape(window, start)
  }
}

/** The character before is the end of `\n`, `%20` or `\u0020`. */
export function endsEscape(window: TextWindow, start: number): boolean {
  const text = window.text
  const last = text.charCodeAt(start - 1)
  if (text.charCodeAt(start - 2) === 0x5c) return last === 0x6e || last === 0x72 || last === 0x74
  if (hexValue(last) < 0) return false
  return (
    text.charCodeAt(start - 3) === 0x25 || (text.charCodeAt(start - 6) === 0x5c && text.charCodeAt(start - 5) === 0x75)
  )
}

/** Nothing after a number makes it part of something longer. */
export function endsAlone(window: TextWindow, end: number): boolean {
  const next = plain(window.at(end))
  switch (next) {
    case 0x2e: // .
      return !isDigitAt(window, end + 1)
    case 0x2d: // -
    case 0x5f: // _
      return !isAlphanumeric(window.at(end + 1))
    case 0x40: // @
      return false
    default:
      return !(kindOf(next) & DIGIT) && !isGluing(next)
  }
}

/** How far back words that tell what a number is are looked for. */
export const CONTEXT = 96

/** The text before a position, in lower case, for context words. */
export function textBefore(window: TextWindow, start: number, length: number = CONTEXT): string {
  return window.text.slice(Math.max(0, start - length), start).toLowerCase()
}
