/**
 * Takes the traces that agents make of their own work with OpenTelemetry (OTLP over HTTP), so that they are beside the calls of
 * the same run. Traces alone: logs say what was said, and metrics are counted from calls.
 */
import type { Context } from 'hono'
import { PbfWriter } from 'pbf'
import * as z from 'zod'
import type { NewEvent, ReceivedSpan } from '../events.ts'
import type { AgentId } from '../ids.ts'
import { type ReceivedSpans, readProtobuf, readTraces, TRACES_JSON } from '../otel/decode.ts'
import type { Scrub } from '../state/clean.ts'
import { contentTypeOf, parseJson, readBytes } from './body.ts'
import { type Route, routesOf } from './route.ts'
import { type RunRooms, runOf } from './run-of.ts'
import type { RunRate } from './run-rate.ts'

/** Also of what it is when inflated. */
const MAX_BYTES = 4 * 1024 * 1024
const PROTOBUF = 'application/x-protobuf'
const JSON_TYPE = 'application/json'
const INVALID = 'spans without valid ids or times'

const route = routesOf('Own run')

/** `clean` builds an event of what an agent says, redacted. */
export const traceRoutes = (
  { state }: Pick<RunRooms, 'state'>,
  rate: RunRate,
  clean: (agentId: AgentId, build: (scrub: Scrub) => NewEvent[]) => NewEvent[],
): Route[] => [
  route('POST /v1/traces', {
    role: 'agent',
    summary:
      'Takes traces of OpenTelemetry (OTLP) as protobuf or JSON, also with gzip. Of each span its place, name, times and a few attributes are kept.',
    types: [PROTOBUF],
    reply: () =>
      z.object({ partialSuccess: z.object({ rejectedSpans: z.string(), errorMessage: z.string() }).optional() }),
    errors: ['bad_request', 'body_too_large'],
    handle: async ({ context, identity }) => {
      const { agentId } = runOf(identity)
      const type = contentTypeOf(context, [JSON_TYPE, PROTOBUF])
      const bytes = await readBytes(context, MAX_BYTES)
      const received =
        type === PROTOBUF ? readProtobuf(bytes) : readTraces(parseJson(TRACES_JSON, bytes.toString('utf8')))
      await rate.enter(agentId, received.spans.length)
      const events = clean(agentId, (scrub) => received.spans.map((span) => tracedEvent(span, agentId, scrub)))
      state.recordAll(events.map((event) => ({ event })))
      return type === PROTOBUF ? protobufReply(context, received) : jsonReply(received)
    },
  }),
]

function tracedEvent(span: ReceivedSpan, agentId: AgentId, scrub: Scrub): NewEvent {
  const name = scrub(span.name)
  const attributes = Object.fromEntries(
    Object.entries(span.attributes).map(([key, value]) => [key, typeof value === 'string' ? scrub(value) : value]),
  )
  return {
    type: 'agent.traced',
    level: 'DEBUG',
    agent_id: agentId,
    message: `traced: ${name || 'a span without a name'}`,
    data: { ...span, name, attributes },
  }
}

const jsonReply = ({ rejected }: ReceivedSpans) =>
  rejected === 0 ? {} : { partialSuccess: { rejectedSpans: String(rejected), errorMessage: INVALID } }

/** An ExportTraceServiceResponse. */
function protobufReply(context: Context, { rejected }: ReceivedSpans): Response {
  const reply = new PbfWriter()
  if (rejected > 0) {
    reply.writeMessage(
      1,
      (_, partial) => {
        partial.writeVarintField(1, rejected)
        partial.writeStringField(2, INVALID)
      },
      undefined,
    )
  }
  return context.body(new Uint8Array(reply.finish()), 200, { 'content-type': PROTOBUF })
}
