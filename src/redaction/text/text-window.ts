/**
 * The text as the detectors see it: everything so far, and whether more may follow.
 *
 * One rule makes whole and streamed text give the same findings: a decision that read past the end of the text does not
 * count. Detectors read forward only through `at` and `read`; either one sets `cut` when the requested character has
 * not arrived. The scanner then discards the result and holds the text back from `candidate`.
 */
import { Fences } from '../code/fences.ts'
import { IGNORED, isAlphanumeric, kindOf, LITERAL, MAX_INVISIBLE, plain } from './characters.ts'
import { entityCode, hexValue, isPlain, MAX_ENTITY, NONE } from './escapes.ts'

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
 * More than 32 MiB, which the allocator of Linux returns to the system when freed; less may stay with the process. What
 * is not written takes no memory.
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
    let next = index
    let code = first
    for (let skipped = 0; kindOf(code) & IGNORED && skipped < MAX_INVISIBLE; skipped++) code = this.at(++next)
    if (code === 0x25 || code === 0x5c || code === 0x26) return this.#readEscape(next, code)
    this.code = plain(code)
    return next + 1
  }

  #readEscape(index: number, code: number): number {
    const decoded =
      code === 0x25
        ? this.#hex(index + 1, 2)
        : code === 0x26
          ? this.#entity(index + 1)
          : this.at(index + 1) === 0x75
            ? this.#hex(index + 2, 4)
            : NONE
    if (isPlain(decoded)) {
      this.code = decoded
      return code === 0x25 ? index + 3 : code === 0x5c ? index + 6 : this.text.indexOf(';', index) + 1
    }
    this.code = code
    return index + 1
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
  #entity(index: number): number {
    for (let end = index; end < index + MAX_ENTITY; end++) {
      const code = this.at(end)
      if (code === 0x3b) return entityCode(this.text, index, end)
      if (code !== 0x23 && !(code < 0x80 && isAlphanumeric(code))) return NONE
    }
    return NONE
  }
}

/** Reading a character of an array takes a third of the time of reading one of a string. */
function codesOf(text: string): Uint16Array {
  if (text.length <= SCRATCH_LENGTH) return scratch.write(text)
  if (text.length > (longScratch?.codes.length ?? 0)) longScratch = new Scratch(Math.max(text.length, MAPPED_LENGTH))
  return longScratch!.write(text)
}
