/**
 * How the frames of a stream are written in bytes: as server-sent events, as lines of JSON, or as the elements of a JSON
 * array. A client gets the framing that its provider chose.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { createParser } from 'eventsource-parser'
import type { Format, Sse } from '../dialects/dialect.ts'

export interface Framing {
  decoder(): Decoder
  encoder(): Encoder
}

/** Reads frames from bytes that are split anywhere, even inside a character or a line ending. */
export interface Decoder {
  /** Returns the frames that are complete; undefined when one is too long. */
  feed(bytes: Uint8Array): Sse[] | undefined
}

export interface Encoder {
  frame(frame: Sse): string
  /** Returns what follows the last frame of a complete stream. */
  end(): string
}

/** Maximum size of a frame. */
export const MAX_FRAME_CHARACTERS = 4 * 1024 * 1024

/** Returns how a response is streamed; undefined for a whole one. `isWanted`: the client requested a stream. */
export function framingOf(
  headers: IncomingHttpHeaders,
  { streamsArray }: Pick<Format, 'streamsArray'>,
  isWanted: boolean,
): Framing | undefined {
  const type = headers['content-type'] ?? ''
  if (/^text\/event-stream\b/i.test(type)) return serverSentEvents
  if (/^application\/x-ndjson\b/i.test(type)) return jsonLines
  return streamsArray && isWanted && /^application\/json\b/i.test(type) ? jsonArray : undefined
}

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
  encoder: () => ({ frame: showEvent, end: () => '' }),
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
  encoder: () => ({ frame: ({ data }) => `${data}\n`, end: () => '' }),
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
      frame: ({ data }) => `${count++ === 0 ? '[' : ',\r\n'}${data}`,
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
