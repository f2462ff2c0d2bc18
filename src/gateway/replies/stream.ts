/**
 * A streamed response: the provider's frames in, the client's frames out, redacted, one at a time and unbuffered. A
 * stream that breaks is never presented as complete.
 */

import { CageError } from '../../core/errors.ts'
import type { Sse, StreamReader } from '../../dialects/dialect.ts'
import type { CleanFrame } from '../bodies/answer.ts'
import { encoded, LARGE_BYTES } from '../bodies/bytes.ts'
import type { Cuts } from '../bodies/cut-texts.ts'
import type { ClientConnection } from '../provider/client.ts'
import { type Answer, asUpstreamError } from '../provider/upstream.ts'
import type { CallRedactor } from '../redaction/call-redactor.ts'
import { type Encoder, type Framing, MAX_FRAME_CHARACTERS } from './frames.ts'

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
  { reader, redactor, clean, framing, encoder }: Frames,
  client: ClientConnection,
  beforeLast: () => Promise<void>,
): Promise<void> {
  const relay = async (read: Sse[], cuts?: Cuts): Promise<boolean> => {
    const frames = read.map((one) => withSafeName(one, redactor))
    redactor.findings.requireUnblocked()
    if (reader.isFinished) await beforeLast()
    if (frames.length > 0) await writeFrames(client, encoder.frames(frames), cuts)
    return reader.isFinished
  }
  const relayLarge = async ({ event, data }: Sse): Promise<boolean> => {
    const { data: rest, cuts, found } = await clean(encoded(data))
    try {
      return await relay(await redactor.cleaned(found, cuts, () => reader.read({ event, data: rest })), cuts)
    } finally {
      cuts.free()
    }
  }
  try {
    for await (const frame of readFrames(answer, provider, framing)) {
      redactor.startFrame()
      const isLarge = !framing.isBinary && frame.data.length >= LARGE_BYTES && redactor.canBeCleaned
      if (await (isLarge ? relayLarge(frame) : relay(reader.read(frame)))) return
    }
    redactor.startFrame()
    if (await relay(reader.end?.() ?? [])) return
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
  clean: (data: Buffer) => Promise<CleanFrame>
  /** How the provider writes frames. */
  framing: Framing
  /** Writes them for the client. */
  encoder: Encoder
}

async function writeFrames(client: ClientConnection, sent: string | Buffer, cuts: Cuts | undefined): Promise<void> {
  if (typeof sent !== 'string' || !cuts?.isIn(sent)) return client.write(sent)
  for await (const piece of cuts.piecesOf(sent)) await client.write(piece)
}

const withSafeName = (frame: Sse, redactor: CallRedactor): Sse =>
  frame.event === null ? frame : { ...frame, event: redactor.next('event', frame.event, EVENT_NAME) }

const EVENT_NAME = { kind: 'word', place: 'reply', label: undefined } as const

async function* readFrames({ body }: Answer, provider: string, framing: Framing): AsyncGenerator<Sse> {
  const decoder = framing.decoder()
  let bytes = 0
  try {
    for await (const chunk of body) {
      bytes += chunk.length
      const frames = bytes > MAX_STREAM_BYTES ? undefined : decoder.feed(chunk)
      if (!frames) throw tooLarge(provider)
      yield* frames
    }
  } catch (error) {
    throw asUpstreamError(error, provider)
  }
}

const tooLarge = (provider: string): CageError =>
  new CageError('reply_too_large', `the stream of ${provider}, or one frame of it, is too large`, {
    facts: { provider, limit_bytes: MAX_STREAM_BYTES, limit_frame_characters: MAX_FRAME_CHARACTERS },
  })
