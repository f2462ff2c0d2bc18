/**
 * The binary event streams of AWS: messages with headers, a payload and two checksums. A message with a wrong checksum
 * breaks the stream.
 */
import { EventStreamCodec, type Message } from '@smithy/core/event-streams'
import { CageError } from '../../core/errors.ts'
import type { Sse } from '../../dialects/dialect.ts'
import type { Framing } from './frames.ts'

const codec = new EventStreamCodec(
  (bytes) => Buffer.from(bytes).toString('utf8'),
  (text) => Buffer.from(text),
)

export const eventStream: Framing = {
  isBinary: true,
  decoder() {
    let rest = Buffer.alloc(0)
    return {
      feed(bytes) {
        rest = Buffer.concat([rest, bytes])
        const frames: Sse[] = []
        while (rest.length >= MIN_BYTES) {
          const length = rest.readUInt32BE(0)
          if (length > MAX_BYTES) return undefined
          if (rest.length < length) break
          frames.push(decoded(rest.subarray(0, length)))
          rest = rest.subarray(length)
        }
        return frames
      },
      end: () => [],
    }
  },
  encoder: () => ({ frames: (frames) => Buffer.concat(frames.map(encoded)), end: () => '' }),
}

/** Maximum size of a message, which is read on this thread. */
const MAX_BYTES = 1024 * 1024
/** Lengths and checksums of an empty message. */
const MIN_BYTES = 16
/** Events whose payload is another provider's event, in base64. */
const WRAPPED = 'chunk'
const EXCEPTION = /Exception$/

/** Throws CageError `provider_reply_invalid`. */
function decoded(bytes: Buffer): Sse {
  const { headers, body } = checked(bytes)
  const kind = headers[':event-type'] ?? headers[':exception-type'] ?? headers[':error-code']
  const event = String(kind?.value ?? '')
  const data = Buffer.from(body).toString('utf8')
  if (headers[':message-type']?.value === 'event') return { event, data: event === WRAPPED ? unwrapped(data) : data }
  return { event: EXCEPTION.test(event) ? event : `${event}Exception`, data }
}

function checked(bytes: Buffer): Message {
  try {
    return codec.decode(bytes)
  } catch (error) {
    throw new CageError('provider_reply_invalid', 'the provider sent a damaged event', { cause: error })
  }
}

function unwrapped(data: string): string {
  try {
    return Buffer.from((JSON.parse(data) as { bytes: string }).bytes, 'base64').toString('utf8')
  } catch (error) {
    throw new CageError('provider_reply_invalid', 'the provider sent an event without bytes', { cause: error })
  }
}

function encoded({ event, data }: Sse): Uint8Array {
  const type = event ?? WRAPPED
  const isException = EXCEPTION.test(type)
  const payload = type === WRAPPED ? JSON.stringify({ bytes: Buffer.from(data).toString('base64') }) : data
  const text = (value: string) => ({ type: 'string' as const, value })
  return codec.encode({
    headers: {
      [isException ? ':exception-type' : ':event-type']: text(type),
      ':content-type': text('application/json'),
      ':message-type': text(isException ? 'exception' : 'event'),
    },
    body: Buffer.from(payload),
  })
}
