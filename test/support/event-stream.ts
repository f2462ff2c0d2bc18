/** The binary event streams of AWS, as a provider writes them and as a client reads them. */
import { EventStreamCodec } from '@smithy/core/event-streams'

export interface AwsEvent {
  type: string
  data: Record<string, unknown>
  /** (Default: it is an event.) */
  isException?: true
}

const codec = new EventStreamCodec(
  (bytes) => Buffer.from(bytes).toString('utf8'),
  (text) => Buffer.from(text),
)

const text = (value: string) => ({ type: 'string' as const, value })

export const encodeEvent = ({ type, data, isException }: AwsEvent): Buffer =>
  Buffer.from(
    codec.encode({
      headers: {
        [isException ? ':exception-type' : ':event-type']: text(type),
        ':content-type': text('application/json'),
        ':message-type': text(isException ? 'exception' : 'event'),
      },
      body: Buffer.from(JSON.stringify(data)),
    }),
  )

/** Throws for a wrong checksum. */
export function decodeEvents(bytes: Buffer): AwsEvent[] {
  const events: AwsEvent[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at)
    const { headers, body } = codec.decode(bytes.subarray(at, at + length))
    const type = String((headers[':event-type'] ?? headers[':exception-type'])!.value)
    events.push({ type, data: JSON.parse(Buffer.from(body).toString()) as Record<string, unknown> })
    at += length
  }
  return events
}

/** An event of Anthropic's, as InvokeModelWithResponseStream wraps it. */
export const wrapped = (event: object): AwsEvent => ({
  type: 'chunk',
  data: { bytes: Buffer.from(JSON.stringify(event)).toString('base64') },
})
