/**
 * The text as the detectors see it: everything so far, and whether more may follow.
 *
 * One rule makes whole and streamed text give the same findings: a decision that read past the end of the text does not
 * count. Detectors read forward only through `at` and `read`; either one sets `cut` when the requested character has
 * not arrived. The scanner then discards the result and holds the text back from `candidate`.
 */
import * as ascii from '../../core/ascii.ts'
import { Fences } from '../code/fences.ts'
import { IGNORED, isAlphanumeric, kindOf, LITERAL, MAX_INVISIBLE, plain } from './characters.ts'
import {
  entityCode,
  hexValue,
  isOfColor,
  isOfMail,
  isPlain,
  MAX_COLOR,
  MAX_ENTITY,
  MAX_NESTED,
  MAX_SLASHES,
  NONE,
} from './escapes.ts'

/** Memory for the code units of a text, reused by the next one. */
class Scratch {
  readonly codes: Uint16Array
  readonly #bytes: Buffer

  constructor(length: number) {
    this.#bytes = Buffer.allocUnsafeSlow(2 * length)
    this.codes = new Uint16Array(this.#bytes.buffer, this.#bytes.byteOffset, length)
  }

  write(text: string): Uint16Array {
    this.#bytes.write(text, 'utf16le')
    return this.codes
  }
}

/** More than nearly every text has. */
const SCRATCH_LENGTH = 1 << 16
/**
 * More than 32 MiB, which the allocator of Linux returns to the system when freed; less may stay with the process.
 * Unwritten pages take no memory.
 */
const MAPPED_LENGTH = 17 * 1024 * 1024

const scratch = new Scratch(SCRATCH_LENGTH)
/** For long texts: only the thread of large bodies has many, and ends soon. */
let longScratch: Scratch | undefined

export type CodeParts = 'all' | 'fenced' | 'none'

export class TextWindow {
  #text = ''
  #codes: Uint16Array = scratch.codes
  /** The end of the last finding; no other may begin before it. */
  floor = 0
  final = true
  /** A detector requested a character that has not arrived. */
  cut = false
  /** The possible beginning of the match. Set by a detector before it reads forward. */
  candidate = 0
  /** The decoded character that `read` found. */
  code = NONE
  /** What of the text is code. */
  codeParts: CodeParts = 'none'
  readonly #fences = new Fences()

  get text(): string {
    return this.#text
  }

  set text(text: string) {
    this.#text = text
    this.#codes = codesOf(text)
  }

  /** Adds text, after dropping as many characters at the front. */
  append(chunk: string, dropped: number): void {
    if (this.codeParts === 'fenced') this.#fences.drop(this.#text, dropped)
    this.floor = Math.max(0, this.floor - dropped)
    this.text = dropped > 0 ? this.#text.slice(dropped) + chunk : this.#text + chunk
  }

  /** Whether a position stands in code. */
  isInCode(position: number): boolean {
    if (this.codeParts !== 'fenced') return this.codeParts === 'all'
    return this.#fences.surround(this.#text, position)
  }

  /** Takes its code units again, after another window had a text of at most so many characters. */
  restore(length: number): void {
    for (let index = 0; index < Math.min(length, this.#text.length); index++)
      this.#codes[index] = this.#text.charCodeAt(index) || ZERO_WIDTH
  }

  /** The code units of the text, followed by arbitrary ones. Valid until the text of any other window is set. */
  get codes(): Uint16Array {
    return this.#codes
  }

  /** Returns the character at a position, or NONE. */
  at(index: number): number {
    if (index < this.#text.length) return this.#codes[index] as number
    if (!this.final) this.cut = true
    return NONE
  }

  /** Whether a text begins at a position. */
  isAt(index: number, text: string): boolean {
    for (let i = 0; i < text.length; i++) if (this.at(index + i) !== text.charCodeAt(i)) return false
    return true
  }

  /** Returns the character before a position, NONE at the beginning. Never cut: enough text is always kept. */
  before(index: number): number {
    return index > 0 ? (this.#codes[index - 1] as number) : NONE
  }

  /** Sets `code` to the next character, decoded and made plain, and returns the position after it. */
  read(index: number): number {
    const code = this.at(index)
    if (kindOf(code) & LITERAL) {
      this.code = code
      return index + 1
    }
    return this.#readOther(index, code)
  }

  #readOther(index: number, first: number): number {
    const next = kindOf(first) & IGNORED ? this.visibleFrom(index) : index
    const code = next === index ? first : this.at(next)
    if (code === ascii.PERCENT || code === ascii.BACKSLASH || code === ascii.AMPERSAND || code === ascii.EQUALS)
      return this.#readEscape(next, code)
    this.code = plain(code)
    return next + 1
  }

  /** Returns the position after invisible characters and color sequences, or after as many as are skipped. */
  visibleFrom(index: number): number {
    let next = index
    for (let skipped = 0; skipped < MAX_INVISIBLE; skipped++) {
      const code = this.at(next)
      if (!(kindOf(code) & IGNORED)) break
      next = code === ascii.ESCAPE ? this.#colorEnd(next) : next + 1
    }
    return next
  }

  #colorEnd(start: number): number {
    if (this.at(start + 1) !== ascii.OPEN_BRACKET) return start + 1
    let end = start + 2
    while (end - start < MAX_COLOR && isOfColor(this.at(end))) end++
    return this.at(end) === ascii.LOWER_M ? end + 1 : start + 1
  }

  #readEscape(index: number, code: number): number {
    const end =
      code === ascii.PERCENT
        ? this.#percentEnd(index + 1)
        : code === ascii.BACKSLASH
          ? this.#slashEnd(index + 1)
          : code === ascii.AMPERSAND
            ? this.#entityEnd(index + 1)
            : this.#mailEnd(index + 1)
    if (end > 0) return end
    this.code = code
    return index + 1
  }

  /** Sets `code` to a plain character and returns the end of its escape, or returns 0. */
  #decoded(code: number, end: number): number {
    if (!isPlain(code)) return 0
    this.code = code
    return end
  }

  #percentEnd(index: number): number {
    let digits = index
    for (
      let nested = 0;
      nested < MAX_NESTED && this.at(digits) === ascii.TWO && this.at(digits + 1) === ascii.FIVE;
      nested++
    ) {
      if (hexValue(this.at(digits + 2)) < 0) break
      digits += 2
    }
    return this.#decoded(this.#hex(digits, 2), digits + 2)
  }

  #slashEnd(index: number): number {
    let letter = index
    while (letter - index < MAX_SLASHES && this.at(letter) === ascii.BACKSLASH) letter++
    const form = this.at(letter)
    if (form === ascii.LOWER_X) return this.#decoded(this.#hex(letter + 1, 2), letter + 3)
    if (form !== ascii.LOWER_U) return 0
    if (this.at(letter + 1) !== ascii.OPEN_BRACE) return this.#decoded(this.#hex(letter + 1, 4), letter + 5)
    let brace = letter + 2
    while (brace - letter < MAX_BRACE && hexValue(this.at(brace)) >= 0) brace++
    return this.at(brace) === ascii.CLOSE_BRACE
      ? this.#decoded(this.#hex(letter + 2, brace - letter - 2), brace + 1)
      : 0
  }

  #mailEnd(index: number): number {
    const code = this.#hex(index, 2)
    return isOfMail(code) ? this.#decoded(code, index + 2) : 0
  }

  #hex(index: number, length: number): number {
    let value = 0
    for (let i = index; i < index + length; i++) {
      const digit = hexValue(this.at(i))
      if (digit < 0) return NONE
      value = value * 16 + digit
    }
    return value
  }

  /** An HTML entity: a number, or one of the few names that stand for a character of an address. */
  #entityEnd(index: number): number {
    for (let end = index; end < index + MAX_ENTITY; end++) {
      const code = this.at(end)
      if (code === ascii.SEMICOLON) return this.#decoded(entityCode(this.text, index, end), end + 1)
      if (code !== ascii.HASH && !(code < ascii.END && isAlphanumeric(code))) return 0
    }
    return 0
  }
}

/** Of `u{` and its digits. */
const MAX_BRACE = 8

/** Reading a character of an array takes a third of the time of reading one of a string. */
function codesOf(text: string): Uint16Array {
  const codes = scratchFor(text.length).write(text)
  for (let nul = text.indexOf('\0'); nul >= 0; nul = text.indexOf('\0', nul + 1)) codes[nul] = ZERO_WIDTH
  return codes
}

/** Stands for NUL, which is as invisible. */
const ZERO_WIDTH = 0x200b

function scratchFor(length: number): Scratch {
  if (length <= SCRATCH_LENGTH) return scratch
  if (length > (longScratch?.codes.length ?? 0)) longScratch = new Scratch(Math.max(length, MAPPED_LENGTH))
  return longScratch!
}
