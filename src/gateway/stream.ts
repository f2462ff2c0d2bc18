/**
 * A streamed response: the provider's frames in, the client's frames out, redacted, one at a time and unbuffered. A
 * stream that breaks is never presented as complete.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createParser } from 'eventsource-parser'
import type { Sse, StreamReader } from '../dialects/dialect.ts'
import { CageError } from '../errors.ts'
import { encoded, free, LARGE_BYTES } from './bodies/bytes.ts'
import type { CallRedactor, Found } from './call-redactor.ts'
import type { ClientConnection } from './client.ts'
import { type Answer, asUpstreamError } from './upstream.ts'

/** Maximum size of a frame. */
const MAX_FRAME_CHARACTERS = 4 * 1024 * 1024
/** Maximum wait for the end of the response after the last frame, in ms. */
const DRAIN_TIMEOUT_MS = 1_000
/** Maximum size of a streamed response. */
const MAX_STREAM_BYTES = 64 * 1024 * 1024

/**
 * Relays a response to the client as it arrives; `beforeLast` runs when the last frame arrived and is not yet sent.
 * Resolves when the dialect's last frame was sent; throws ClientGone, PiiBlockedError, or CageError `provider_*`
 * when the stream broke before that, or `reply_too_large`.
 */
export async function relayFrames(
  answer: Answer,
  provider: string,
  { reader, redactor, clean }: Frames,
  client: ClientConnection,
  beforeLast: () => Promise<void>,
): Promise<void> {
  try {
    for await (const frame of readFrames(answer, provider)) {
      const isLarge = frame.data.length >= LARGE_BYTES && redactor.canBeCleaned
      const read = isLarge ? await readLarge(frame, { reader, redactor, clean }) : reader.read(frame)
      const frames = read.map((one) => withSafeName(one, redactor))
      redactor.requireUnblocked()
      if (reader.isFinished) await beforeLast()
      if (frames.length > 0) await client.write(frames.map(showFrame).join(''))
      if (reader.isFinished) return
    }
    throw new CageError('provider_reply_invalid', `the stream of ${provider} ended before its last frame`)
  } finally {
    if (reader.isFinished) void answer.body.drain(DRAIN_TIMEOUT_MS)
    else answer.body.cancel()
  }
}

/** What frames are read with. */
export interface Frames {
  reader: StreamReader
  redactor: CallRedactor
  /** Redacts the long texts of a large frame's data on another thread. */
  clean: (data: Buffer) => Promise<{ bytes: Buffer; found: Found }>
}

async function readLarge({ event, data }: Sse, { reader, redactor, clean }: Frames): Promise<Sse[]> {
  const { bytes, found } = await clean(encoded(data))
  const cleaned = bytes.toString('utf8')
  free(bytes)
  const read = await redactor.cleaned(found, () => reader.read({ event, data: cleaned }))
  // Reading and writing a frame of some megabytes takes long enough for a turn each.
  await nextTurn()
  return read
}

const withSafeName = (frame: Sse, redactor: CallRedactor): Sse =>
  frame.event === null ? frame : { ...frame, event: redactor.next('event', frame.event, EVENT_NAME) }

const EVENT_NAME = { kind: 'word', place: 'reply', label: undefined } as const

export const showFrame = ({ event, data }: Sse): string =>
  `${event ? `event: ${event}\n` : ''}${data
    .split('\n')
    .map((line) => `data: ${line}\n`)
    .join('')}\n`

/** Yields frames from bytes that are split anywhere, even inside a character or a line ending. */
async function* readFrames({ body }: Answer, provider: string): AsyncGenerator<Sse> {
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
  let bytes = 0
  try {
    for await (const chunk of body) {
      bytes += chunk.length
      if (bytes > MAX_STREAM_BYTES) isTooLong = true
      else parser.feed(decoder.decode(chunk, { stream: true }))
      if (isTooLong) throw tooLarge(provider)
      yield* frames.splice(0)
    }
  } catch (error) {
    throw asUpstreamError(error, provider)
  }
}

const tooLarge = (provider: string): CageError =>
  new CageError('reply_too_large', `the stream of ${provider}, or one frame of it, is too large`, {
    facts: { provider, limit_bytes: MAX_STREAM_BYTES, limit_frame_characters: MAX_FRAME_CHARACTERS },
  })
