/**
 * How the frames of a stream are written in bytes: as server-sent events, as lines of JSON, as the elements of a JSON
 * array, or in the binary messages of AWS (`event-stream.ts`). A client gets the framing that its provider chose.
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { Format, Sse } from '../../dialects/dialect.ts'
import type { Answer } from '../provider/upstream.ts'
import { type Decoder, type Framing, MAX_FRAME_CHARACTERS } from './frames.ts'

/** Returns true for a response that is declared a stream. */
export const isStream = ({ 'content-type': type = '' }: IncomingHttpHeaders): boolean =>
  /^(text\/event-stream|application\/(x-ndjson|vnd\.amazon\.eventstream))\b/i.test(type)

/**
 * Returns how a response is streamed; undefined for a whole one. `isWanted`: its client requested a stream: then its
 * first characters decide, since many servers name another type.
 */
export async function framingOf(
  { headers, body }: Pick<Answer, 'headers' | 'body'>,
  { streamsAs }: Pick<Format, 'streamsAs'>,
  isWanted: boolean,
): Promise<Framing | undefined> {
  if (isStream(headers)) return framingNamed(headers['content-type']!)
  if (!isWanted) return undefined
  const start = await firstCharacters(body)
  if (/^(data|event|id|retry)?:/.test(start)) return serverSentEvents
  if (streamsAs === 'array' && start.startsWith('[')) return jsonArray
  return streamsAs === 'lines' && start.startsWith('{') ? jsonLines : undefined
}

const framingNamed = (type: string): Framing | Promise<Framing> =>
  /^text/i.test(type) ? serverSentEvents : /ndjson/i.test(type) ? jsonLines : loadEventStream()

/** Few configurations need its library. */
const loadEventStream = async (): Promise<Framing> => (await import('./event-stream.ts')).eventStream

async function firstCharacters(body: Answer['body']): Promise<string> {
  for (let size = 1; ; ) {
    const bytes = await body.peek(size)
    const text = bytes
      .toString('utf8')
      .replace(/^\uFEFF/, '')
      .trimStart()
    const isEnough = text.length >= MIN_CHARACTERS || /^[[{]/.test(text)
    if (isEnough || bytes.length < size || bytes.length > MAX_BLANK_BYTES) return text
    size = bytes.length + 1
  }
}

/** Length of the longest name of a field, with its colon. */
const MIN_CHARACTERS = 6
const MAX_BLANK_BYTES = 1_024

/** How an event of a stream came. */
interface EventSource {
  /** All its lines, to the empty one, each with a line feed. */
  text: string
  event: string | null
  data: string
  /** Its lines that are neither its name nor its data: comments, ids, times to wait. */
  notes: string
}

export const serverSentEvents: Framing = {
  comment: ': keep-alive\n',
  decoder: () => new EventDecoder(),
  encoder: () => ({ frames: (frames) => frames.map(showEvent).join(''), end: () => '' }),
}

/** Splits a stream at its empty lines. An event without data is none, but its lines are passed on. */
class EventDecoder implements Decoder {
  readonly #decoder = new TextDecoder()
  #text = ''
  /** Up to here there is no empty line. */
  #searched = 0

  feed(bytes: Uint8Array): Sse[] | undefined {
    this.#text += this.#decoder.decode(bytes, { stream: true })
    const frames: Sse[] = []
    let start = 0
    EMPTY_LINE.lastIndex = this.#searched
    while (EMPTY_LINE.test(this.#text)) {
      frames.push(readEvent(this.#text.slice(start, EMPTY_LINE.lastIndex)))
      start = EMPTY_LINE.lastIndex
    }
    if (start > 0) this.#text = this.#text.slice(start)
    this.#searched = Math.max(0, this.#text.length - 3)
    return this.#text.length > MAX_FRAME_CHARACTERS ? undefined : frames
  }

  end(): Sse[] {
    const last = readEvent(this.#text)
    const isWhole = last.data === '' ? this.#text.trim() !== '' : isComplete(last.data)
    return isWhole ? [last] : []
  }
}

const LINE_END = /\r\n|\n|\r/g
/** Two ends of lines. A carriage return at the end may be half of one. */
const EMPTY_LINE = /(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?=[^\n]))/g
const FIELD = /^(data|event)(?:: ?([\s\S]*))?$/

/** Many readers know only line feeds, so that those are what ends its lines from now on. */
function readEvent(came: string): Sse {
  const text = came.includes('\r') ? came.replaceAll(LINE_END, '\n') : came
  let event: string | null = null
  const data: string[] = []
  const notes: string[] = []
  for (const line of text.split('\n')) {
    const [, field, value = ''] = FIELD.exec(line) ?? []
    if (field === 'data') data.push(value)
    else if (field === 'event') event = value || null
    else if (line !== '') notes.push(line)
  }
  const read = { event, data: data.join('\n') }
  return { ...read, source: { text, ...read, notes: notes.join('\n') } satisfies EventSource }
}

/** Returns the lines of an event that are neither its name nor its data. */
export const notesOf = ({ source }: Sse): string => (source as EventSource | undefined)?.notes ?? ''

/** Returns true for lines that are no event, such as a comment: it has no data. */
export const isNote = ({ data, source }: Sse): boolean => data === '' && source !== undefined

/** An event that was not changed is written as it came; of another one, the other lines are. */
function showEvent({ event, data, source }: Sse): string {
  const came = source as EventSource | undefined
  if (came?.event === event && came.data === data) return came.text
  const notes = came?.notes ? [came.notes] : []
  const lines = data.split('\n').map((line) => `data: ${line}`)
  return [...notes, ...(event ? [`event: ${event}`] : []), ...lines, '', ''].join('\n')
}

/** True for data that is not cut off. */
function isComplete(data: string): boolean {
  if (data === '[DONE]') return true
  try {
    return typeof JSON.parse(data) === 'object'
  } catch {
    return false
  }
}

const jsonLines: Framing = {
  decoder() {
    let text = ''
    const decoder = new TextDecoder()
    return {
      feed(bytes) {
        const lines = (text + decoder.decode(bytes, { stream: true })).split('\n')
        text = lines.pop()!
        const isTooLong = [text, ...lines].some((line) => line.length > MAX_FRAME_CHARACTERS)
        return isTooLong ? undefined : lines.filter((line) => line.trim() !== '').map((data) => ({ event: null, data }))
      },
      end: () => (isComplete(text) ? [{ event: null, data: text }] : []),
    }
  },
  encoder: () => ({ frames: (frames) => frames.map(({ data }) => `${data}\n`).join(''), end: () => '' }),
}

const jsonArray: Framing = {
  decoder() {
    const elements = new ArrayElements()
    const decoder = new TextDecoder()
    return {
      feed(bytes) {
        const found = elements.feed(decoder.decode(bytes, { stream: true }))
        return elements.pending > MAX_FRAME_CHARACTERS ? undefined : found.map((data) => ({ event: null, data }))
      },
      end: () => [],
    }
  },
  encoder() {
    let count = 0
    return {
      frames: (frames) => frames.map(({ data }) => `${count++ === 0 ? '[' : ',\r\n'}${data}`).join(''),
      end: () => (count === 0 ? '[]' : ']'),
    }
  },
}

/** Finds the objects in the text of an array, which arrives in pieces. */
class ArrayElements {
  #text = ''
  /** Characters that were read. */
  #at = 0
  #depth = 0
  #isString = false

  /** Characters of the object that is not complete. */
  get pending(): number {
    return this.#text.length
  }

  feed(piece: string): string[] {
    this.#text += piece
    const found: string[] = []
    for (; this.#at < this.#text.length; this.#at++) {
      const character = this.#text[this.#at]
      if (this.#isString) {
        if (character === '\\') this.#at++
        else if (character === '"') this.#isString = false
      } else if (character === '"') this.#isString = true
      else if (character === '{' || character === '[') {
        this.#depth++
        if (this.#depth === 2) this.#take(this.#at)
      } else if ((character === '}' || character === ']') && --this.#depth === 1) {
        found.push(this.#take(this.#at + 1))
        this.#at = -1
      }
    }
    return found
  }

  /** Removes and returns the text before a position. */
  #take(end: number): string {
    const taken = this.#text.slice(0, end)
    this.#text = this.#text.slice(end)
    this.#at = 0
    return taken
  }
}
