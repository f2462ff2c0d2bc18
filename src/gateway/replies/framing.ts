/**
 * How the frames of a stream are written in bytes: as server-sent events, as lines of JSON, as the elements of a JSON
 * array, or in the binary messages of AWS (`event-stream.ts`). A client gets the framing that its provider chose.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { createParser } from 'eventsource-parser'
import type { Format, Sse } from '../../dialects/dialect.ts'
import { type Framing, MAX_FRAME_CHARACTERS } from './frames.ts'

/** Returns how a response is streamed; undefined for a whole one. `isWanted`: the client requested a stream. */
export function framingOf(
  headers: IncomingHttpHeaders,
  { streamsArray }: Pick<Format, 'streamsArray'>,
  isWanted: boolean,
): Framing | Promise<Framing> | undefined {
  const type = headers['content-type'] ?? ''
  if (/^text\/event-stream\b/i.test(type)) return serverSentEvents
  if (/^application\/x-ndjson\b/i.test(type)) return jsonLines
  if (/^application\/vnd\.amazon\.eventstream\b/i.test(type)) return loadEventStream()
  return streamsArray && isWanted && /^application\/json\b/i.test(type) ? jsonArray : undefined
}

/** Few configurations need its library. */
const loadEventStream = async (): Promise<Framing> => (await import('./event-stream.ts')).eventStream

export const serverSentEvents: Framing = {
  decoder() {
    const frames: Sse[] = []
    let isTooLong = false
    const parser = createParser({
      onEvent: ({ event, data }) => frames.push({ event: event ?? null, data }),
      onError: ({ type }) => {
        isTooLong ||= type === 'max-buffer-size-exceeded'
      },
      maxBufferSize: MAX_FRAME_CHARACTERS,
    })
    const decoder = new TextDecoder()
    return {
      feed(bytes) {
        parser.feed(decoder.decode(bytes, { stream: true }))
        return isTooLong ? undefined : frames.splice(0)
      },
    }
  },
  encoder: () => ({ frames: (frames) => frames.map(showEvent).join(''), end: () => '' }),
}

const showEvent = ({ event, data }: Sse): string =>
  `${event ? `event: ${event}\n` : ''}${data
    .split('\n')
    .map((line) => `data: ${line}\n`)
    .join('')}\n`

const jsonLines: Framing = {
  decoder() {
    let text = ''
    const decoder = new TextDecoder()
    return {
      feed(bytes) {
        const lines = (text + decoder.decode(bytes, { stream: true })).split('\n')
        text = lines.pop()!
        const isTooLong = [text, ...lines].some((line) => line.length > MAX_FRAME_CHARACTERS)
        return isTooLong ? undefined : lines.filter(Boolean).map((data) => ({ event: null, data }))
      },
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
