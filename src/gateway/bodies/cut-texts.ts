/**
 * Long texts in a large frame of a stream. The thread that has redacted them cuts them out, except for their ends: the
 * frame is read with a mark in place of each, and written with the bytes that were cut out.
 */
import { randomBytes } from 'node:crypto'
import type { Json } from '../../dialects/json.ts'
import { encoded, free, piecesOf } from './bytes.ts'

/** Maximum length of data that spans two texts, or two pieces of one. */
export const EDGE_CHARACTERS = 16 * 1024
/** Length from which a text in a large frame is redacted on another thread, and here only its ends are read. */
export const LONG_CHARACTERS = 4 * EDGE_CHARACTERS

export const isLong = (text: string): boolean => text.length >= LONG_CHARACTERS

/** Returns the start of all marks of a frame. It consists of letters that base64 has too, so that such texts keep their form. */
export const newMark = (): string => randomBytes(24).toString('hex')

/** A part that was cut out of a text. */
export interface Cut {
  /** As it is written in JSON. */
  bytes: Buffer
  /** Characters of the text. */
  length: number
}

/** Returns the JSON of a frame with a mark in place of the middle of each long text, and what was cut out. */
export function cutTexts(value: Json, mark: string): { data: string; cuts: Cut[] } {
  const cuts: Cut[] = []
  const data = JSON.stringify(value, (_name, item) => (typeof item === 'string' && isLong(item) ? cut(item) : item))
  return { data, cuts }

  function cut(text: string): string {
    const start = endOfCharacter(text, EDGE_CHARACTERS)
    const end = startOfCharacter(text, text.length - EDGE_CHARACTERS)
    const middle = text.slice(start, end)
    cuts.push({ bytes: encoded(JSON.stringify(middle).slice(1, -1)), length: middle.length })
    return `${text.slice(0, start)}${markAt(mark, cuts.length - 1)}${text.slice(end)}`
  }
}

const INDEX_DIGITS = 6
const markAt = (mark: string, index: number): string => mark + String(index).padStart(INDEX_DIGITS, '0')

const isLowSurrogate = (text: string, at: number): boolean => (text.charCodeAt(at) & 0xfc00) === 0xdc00
const endOfCharacter = (text: string, at: number): number => (isLowSurrogate(text, at) ? at + 1 : at)
const startOfCharacter = (text: string, at: number): number => (isLowSurrogate(text, at) ? at - 1 : at)

/** What was cut out of the texts of one frame. */
export class Cuts {
  readonly #mark: string
  readonly #cuts: readonly Cut[]

  constructor(mark: string, cuts: readonly Cut[]) {
    this.#mark = mark
    this.#cuts = cuts
  }

  /** Returns true if something was cut out of the text. */
  isIn(text: string): boolean {
    return text.includes(this.#mark)
  }

  /** Number of characters that were cut out of a text. */
  lengthIn(text: string): number {
    return this.#split(text).reduce((sum, part) => sum + (typeof part === 'string' ? 0 : part.length), 0)
  }

  /** Yields what is written for the client, in pieces; each is valid until the next is requested. */
  async *piecesOf(text: string): AsyncGenerator<string | Buffer> {
    for (const part of this.#split(text)) {
      if (typeof part === 'string') yield part
      else yield* piecesOf(part.bytes)
    }
  }

  free(): void {
    for (const { bytes } of this.#cuts) free(bytes)
  }

  #split(text: string): (string | Cut)[] {
    const [first = '', ...others] = text.split(this.#mark)
    const parts = others.flatMap((rest) => [this.#cuts[Number(rest.slice(0, INDEX_DIGITS))]!, rest.slice(INDEX_DIGITS)])
    return [first, ...parts].filter((part) => part !== '')
  }
}
