/** Shared by the detectors of numbers: reading digits and separators, and whether a number stands alone. */
import * as ascii from '../../core/ascii.ts'
import {
  DIGIT,
  IGNORED,
  isAlphanumeric,
  isDash,
  isGluing,
  isWordCharacter,
  kindOf,
  LETTER,
  LITERAL,
  plain,
} from './characters.ts'
import { endsColor, escapeBefore } from './escapes.ts'
import { tagEnd } from './tags.ts'
import type { TextWindow } from './text-window.ts'

/** Reads the digits of a number group by group. Each detector has one and calls `begin` for every number. */
export class DigitReader {
  /** The digits so far, without separators. */
  readonly values = new Uint8Array(24)
  count = 0
  /** The separator that `separator` passed last. */
  form: Separator = ''
  #window!: TextWindow
  #colors = 0

  begin(window: TextWindow): void {
    this.#window = window
    this.#colors = 0
    this.count = 0
    this.form = ''
  }

  /** Returns the position after exactly `wanted` digits, or -1. More digits may follow: the caller checks. */
  take(from: number, wanted: number): number {
    const before = this.count
    const position = this.#read(from, wanted)
    return this.count - before === wanted ? position : -1
  }

  /** Returns the position after all digits from here, up to the capacity. */
  takeAll(from: number): number {
    return this.#read(from, this.values.length - this.count)
  }

  #read(from: number, max: number): number {
    const window = this.#window
    const values = this.values
    const limit = this.count + max
    let count = this.count
    let position = from
    while (count < limit) {
      let code = window.at(position)
      let kind = kindOf(code)
      if (!(kind & DIGIT)) {
        if (!(kind & IGNORED) || (code === ascii.ESCAPE && ++this.#colors > MAX_COLORS)) break
        const next = window.visibleFrom(position)
        code = window.at(next)
        kind = kindOf(code)
        if (!(kind & DIGIT)) break
        position = next
      }
      values[count++] = code & 15
      position++
    }
    this.count = count
    return position
  }

  /** Passes one separator between groups and returns the position after it (the same position without one). */
  separator(from: number): number {
    // The usual case: one plain character and a digit, or none.
    const code = this.#window.at(from)
    this.form = separatorOf(code)
    if (this.form === '') {
      if (kindOf(code) & LITERAL) return code === ascii.LESS_THAN ? this.#tags(from) : from
    } else if (this.isDigitAt(from + 1)) return from + 1
    const next = this.#window.read(from)
    this.form = separatorOf(this.#window.code)
    if (this.form !== ' ') return this.form === '' ? from : next
    if (this.isDigitAt(next)) return next
    const second = this.#window.read(next)
    if (separatorOf(this.#window.code) !== '-') return next
    const third = this.#window.read(second)
    if (separatorOf(this.#window.code) !== ' ') return next
    this.form = ' - '
    return third
  }

  /** Passes the tags between two groups: cells of a table, or highlighted ones. */
  #tags(from: number): number {
    let end = from
    for (let tags = 0; tags < MAX_TAGS && this.#window.at(end) === ascii.LESS_THAN; tags++) {
      const next = tagEnd(this.#window, end)
      if (next < 0) return from
      end = this.#window.at(next) === ascii.SPACE ? next + 1 : next
    }
    if (!this.isDigitAt(end)) return from
    this.form = '<>'
    return end
  }

  /** Returns the position after `wanted` digits with a space between any two, at two places perhaps a hyphen; or -1. */
  takeSpaced(from: number, wanted: number, first: number, second: number): number {
    let position = from
    for (let taken = 0; taken < wanted; taken++) {
      if (taken > 0) {
        position = this.separator(position)
        if (this.form !== ' ' && !(this.form === ' - ' && (taken === first || taken === second))) return -1
      }
      position = this.take(position, 1)
      if (position < 0) return -1
    }
    return position
  }

  isDigitAt(index: number): boolean {
    return (kindOf(this.#window.at(index)) & DIGIT) !== 0
  }

  /** Returns the digits from one index to another as a number. */
  number(from: number, to: number): number {
    let value = 0
    for (let i = from; i < to; i++) value = value * 10 + (this.values[i] as number)
    return value
  }
}

/** `<>`: tags of HTML. */
export type Separator = '' | ' ' | '-' | '.' | '/' | '_' | ' - ' | '<>'

/** Changes of color within one group of digits or after it. */
const MAX_COLORS = 8

/** `</b></td><td><b>` */
const MAX_TAGS = 4

/** A plus encodes a space in a URL's form data. */
export function separatorOf(code: number): Separator {
  if (code >= ascii.SPACE && code <= ascii.SLASH) return SEPARATORS[code - ascii.SPACE] as Separator
  if (code === ascii.UNDERSCORE) return '_'
  return isDash(code) ? '-' : ''
}

/** From the space to the slash. */
const SEPARATORS: Separator[] = [' ', '', '', '', '', '', '', '', '', '', '', ' ', '', '-', '.', '/']

/** Where hyphens are within a number, underscores are around it: `export_212-555-0187_2024`. */
const joinsWords = (form: Separator): boolean => form === '-'

/**
 * Nothing before a number makes it part of something longer: a word, a decimal, a code with hyphens, a price. `form`:
 * what separates its groups. (Default: nothing.)
 */
export function beginsAlone(window: TextWindow, start: number, form: Separator = ''): boolean {
  const before = plain(window.before(start))
  switch (before) {
    case ascii.DOLLAR:
    case 0xa3: // £
    case 0x20ac: // €
      return false
    case ascii.DOT:
      return !(kindOf(window.before(start - 1)) & DIGIT)
    case ascii.UNDERSCORE:
      return joinsWords(form) || !isAlphanumeric(window.before(start - 1))
    case ascii.HYPHEN:
      return !isAlphanumeric(window.before(start - 1))
    default:
      return !(kindOf(before) & DIGIT || isGluing(before)) || endsEscape(window, start)
  }
}

/** No letter or digit of the same word precedes. */
export function beginsWord(window: TextWindow, start: number): boolean {
  return !isWordCharacter(window.before(start)) || endsEscape(window, start)
}

/** Another number precedes, with a space between: together they are a row of figures. */
export function followsFigure(window: TextWindow, start: number): boolean {
  return plain(window.before(start)) === ascii.SPACE && (kindOf(window.before(start - 1)) & DIGIT) !== 0
}

/** The character before ends `\n`, `%20`, `\u0020` or a terminal's color sequence. */
export function endsEscape(window: TextWindow, start: number): boolean {
  const last = window.before(start)
  if (window.before(start - 1) === ascii.BACKSLASH) return isOfSpace(last)
  return escapeBefore(window.text, start) !== null || (last === ascii.LOWER_M && endsColor(window.text, start))
}

const isOfSpace = ascii.oneOf('nrt')

/** Nothing after a number makes it part of something longer. */
export function endsAlone(window: TextWindow, end: number, form: Separator = ''): boolean {
  const next = plain(window.at(end))
  switch (next) {
    case ascii.DOT:
      return !(kindOf(window.at(end + 1)) & DIGIT)
    case ascii.UNDERSCORE:
      return joinsWords(form) || !isAlphanumeric(window.at(end + 1))
    case ascii.HYPHEN:
      return !isAlphanumeric(window.at(end + 1))
    default:
      return endsWord(next)
  }
}

/** The character after a number is not a digit, letter or at sign. */
export function endsWord(next: number): boolean {
  return next !== ascii.AT && !(kindOf(next) & DIGIT) && !isGluing(next)
}

/** Maximum characters between a label and its number. */
const MAX_LINK = 16

/** A label may precede directly: no digit in between, as in a row of figures. */
export function followsWord(window: TextWindow, start: number): boolean {
  for (let position = start; position > start - MAX_LINK; position--) {
    const kind = kindOf(window.before(position))
    if (kind & (LETTER | DIGIT)) return (kind & LETTER) !== 0
  }
  return false
}

/** How far back words that identify a number are searched for. */
const CONTEXT = 96

/** Returns the text before a position, in lower case, to search for words that identify a number. */
export function textBefore(window: TextWindow, start: number, length: number = CONTEXT): string {
  return window.text.slice(Math.max(0, start - length), start).toLowerCase()
}

/** Like `textBefore`, but of the same line; from the line before only a label that ends it (`Phone:`). */
export function labelBefore(window: TextWindow, start: number, length: number): string {
  const text = textBefore(window, start, length)
  const lineBreak = text.lastIndexOf('\n')
  if (lineBreak < 0) return text
  const before = text.slice(0, lineBreak)
  return (/^[\w .#]{1,24}:? *$/.test(before) ? before : '') + text.slice(lineBreak)
}
