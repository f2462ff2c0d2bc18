/**
 * A streamed response: the provider's frames in, the client's frames out, redacted, one at a time and unbuffered. A
 * stream that breaks is never presented as complete.
 */

import { CageError } from '../../core/errors.ts'
import type { Sse, StreamReader } from '../../dialects/dialect.ts'
import type { CleanFrame } from '../bodies/answer.ts'
import { encoded, LARGE_BYTES } from '../bodies/bytes.ts'
import type { ClientConnection } from '../provider/client.ts'
import { type Answer, asUpstreamError } from '../provider/upstream.ts'
import type { CallRedactor } from '../redaction/call-redactor.ts'
import { FrameWriter, type LargeFrame, type Writing } from './frame-writer.ts'
import { type Framing, MAX_FRAME_CHARACTERS } from './frames.ts'
import { isNote, notesOf } from './framing.ts'

/** Maximum wait for the end of the response after the last frame, in ms. */
const DRAIN_TIMEOUT_MS = 1_000
/** Maximum size of a streamed response. */
const MAX_STREAM_BYTES = 64 * 1024 * 1024

/**
 * Relays a response to the client as it arrives; `beforeEnd` runs when the last frame arrived and is not yet sent. The
 * response begins with the first frame that is no error, also if the frame has to wait.
 * Resolves when the dialect's last frame was sent, or the provider's own error; throws ClientGone, PiiBlockedError, what
 * `beforeEnd` throws, or CageError `provider_*` when the stream broke before that, or `reply_too_large`.
 */
export async function relayFrames(
  answer: Answer,
  provider: string,
  frames: Frames,
  client: Pick<ClientConnection, 'write'>,
  beforeEnd: () => Promise<void>,
): Promise<void> {
  const { reader, redactor, framing } = frames
  using writer = new FrameWriter(frames, client)
  const isOver = () => reader.isFinished || reader.errorStatus !== undefined
  const relay = async (read: Sse[]): Promise<boolean> => {
    const safe = read.map((one) => withSafeLines(one, redactor))
    redactor.findings.requireUnblocked()
    if (reader.errorStatus === undefined) frames.begin()
    if (isOver()) await beforeEnd()
    await writer.write(safe)
    return isOver()
  }
  try {
    for await (const frame of readFrames(answer, provider, framing)) {
      redactor.startFrame()
      // A comment overtakes frames that are held back: it keeps the connection alive.
      if (isNote(frame)) await writer.writeNote(withSafeLines(frame, redactor))
      else if (await relay(await readFrame(frame, frames))) return
    }
    redactor.startFrame()
    if (await relay(reader.end())) return
    throw new CageError('provider_reply_invalid', `the stream of ${provider} ended before its last frame`)
  } finally {
    if (isOver()) void answer.body.drain(DRAIN_TIMEOUT_MS)
    else answer.body.cancel()
  }
}

/** What frames are read with. */
export interface Frames extends Writing {
  reader: StreamReader
  redactor: CallRedactor
  /** Redacts the long texts of a large frame's data on another thread. */
  clean: (data: Buffer) => Promise<CleanFrame>
}

async function readFrame(frame: Sse, { reader, redactor, clean, framing }: Frames): Promise<Sse[]> {
  const isLarge = !framing.isBinary && frame.data.length >= LARGE_BYTES && redactor.canBeCleaned
  if (!isLarge) return reader.read(frame)
  const { data, cuts, isChanged, found } = await clean(encoded(frame.data))
  const large: LargeFrame = { ...frame, data, large: { came: frame, data, isChanged, cuts } }
  return redactor.cleaned(found, cuts, () => reader.read(large))
}

/** Redacts the lines beside the data, in which nothing is replaced. */
function withSafeLines(frame: Sse, redactor: CallRedactor): Sse {
  const { event } = frame
  const notes = notesOf(frame)
  const safe = notes === '' || redactor.next('notes', notes, { ...WORDS, kind: 'text' }) === notes ? frame : bare(frame)
  return event === null ? safe : { ...safe, event: redactor.next('event', event, WORDS) }
}

const bare = ({ source: _source, ...frame }: Sse): Sse => frame

const WORDS = { kind: 'word', place: 'reply', label: undefined } as const

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
  yield* decoder.end()
}

const tooLarge = (provider: string): CageError =>
  new CageError('reply_too_large', `the stream of ${provider}, or one frame of it, is too large`, {
    facts: { provider, limit_bytes: MAX_STREAM_BYTES, limit_frame_characters: MAX_FRAME_CHARACTERS },
  })
