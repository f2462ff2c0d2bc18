/**
 * Long texts in a large frame of a stream. The thread that has redacted them marks where the end of each begins, which
 * is read together with the next text; of the longest it cuts out the part before the mark. The frame is written
 * without the marks, with the bytes that were cut out.
 */
import { randomBytes } from 'node:crypto'
import { isObject, isRawNumber, type Json } from '../../dialects/json.ts'
import { rewriteJson } from '../../dialects/rewrite-json.ts'
import { encoded, free, piecesOf } from './bytes.ts'

/** Maximum length of data that spans two texts, or two pieces of one. */
export const EDGE_CHARACTERS = 16 * 1024
/**
 * More than a redactor holds back of a text that continues (320 characters) and reads of the text before that (160),
 * unless a secret is open.
 */
export const CONTEXT_CHARACTERS = 512
/** Length from which only the ends of a text are read again. */
const LONG_CHARACTERS = 4 * CONTEXT_CHARACTERS
/** Length from which a text is cut. */
const MIN_CUT_CHARACTERS = 4 * EDGE_CHARACTERS

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

/** A frame whose long texts are redacted (`long-texts.ts`). */
export interface SafeFrame {
  /** Its data as it came. */
  parsed: Json
  /** The data with its long texts redacted; the same value when nothing changed. */
  value: Json
  /** Long texts that end with a finding, which stays since it may continue in a later frame, or with a part of one. */
  openEnds: ReadonlySet<string>
}

/** A frame whose long texts are marked. */
export interface CutFrame {
  /** Its JSON. */
  data: string
  cuts: Cut[]
  /** Characters of its texts that are still to be read. */
  unread: number
}

/** `text`: the data of the frame as it came. */
export function cutTexts(text: string, { parsed, value, openEnds }: SafeFrame, mark: string): CutFrame {
  const cuts: Cut[] = []
  let unread = 0
  const data = rewriteJson(text, parsed, changeStrings(value, marked))
  return { data, cuts, unread }

  function marked(text: string): string {
    const tail = openEnds.has(text) ? EDGE_CHARACTERS : CONTEXT_CHARACTERS
    const isMarked = isLong(text) && text.length >= tail + CONTEXT_CHARACTERS
    unread += isMarked ? CONTEXT_CHARACTERS + tail : text.length
    if (!isMarked) return text
    const end = startOfCharacter(text, text.length - tail)
    const start = text.length < MIN_CUT_CHARACTERS ? end : endOfCharacter(text, EDGE_CHARACTERS)
    const cut = text.slice(start, end)
    cuts.push({ bytes: encoded(JSON.stringify(cut).slice(1, -1)), length: cut.length })
    return `${text.slice(0, start)}${markAt(mark, cuts.length - 1)}${text.slice(end)}`
  }
}

/** Returns the value with each string changed; parts without a changed string are shared. */
function changeStrings(value: Json | undefined, change: (text: string) => string): Json {
  if (typeof value === 'string') return change(value)
  if (Array.isArray(value)) {
    const items = value.map((item) => changeStrings(item, change))
    return items.every((item, at) => item === value[at]) ? value : items
  }
  if (!isObject(value) || isRawNumber(value)) return value as Json
  const fields = Object.entries(value).map(([name, item]) => [name, changeStrings(item, change)] as const)
  return fields.every(([name, item]) => item === value[name]) ? value : Object.fromEntries(fields)
}

const INDEX_DIGITS = 6
const markAt = (mark: string, index: number): string => mark + String(index).padStart(INDEX_DIGITS, '0')

const isLowSurrogate = (text: string, at: number): boolean => (text.charCodeAt(at) & 0xfc00) === 0xdc00
const endOfCharacter = (text: string, at: number): number => (isLowSurrogate(text, at) ? at + 1 : at)
const startOfCharacter = (text: string, at: number): number => (isLowSurrogate(text, at) ? at - 1 : at)

/** The parts cut out of the texts of one frame. */
export class Cuts {
  readonly #mark: string
  readonly #cuts: readonly Cut[]

  constructor(mark: string, cuts: readonly Cut[]) {
    this.#mark = mark
    this.#cuts = cuts
  }

  /** Returns true if the text is marked. */
  isIn(text: string): boolean {
    return text.includes(this.#mark)
  }

  /** Returns the positions of the mark of a text and of the end that is behind it. */
  markIn(text: string): { start: number; end: number } {
    const start = text.indexOf(this.#mark)
    return { start, end: start + this.#mark.length + INDEX_DIGITS }
  }

  /** Number of characters that were cut out of a text. */
  lengthIn(text: string): number {
    return this.#split(text).reduce((sum, part) => sum + (typeof part === 'string' ? 0 : part.length), 0)
  }

  /** Yields the client's text in pieces; each is valid until the next is requested. */
  async *piecesOf(text: string): AsyncGenerator<string | Buffer> {
    for (const part of this.#split(text)) {
      if (typeof part === 'string') yield part
      else if (part.length > 0) yield* piecesOf(part.bytes)
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
