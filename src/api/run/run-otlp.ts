/**
 * Takes agents' own traces of OpenTelemetry (OTLP over HTTP), and puts them beside the calls of the same run. No logs: they
 * contain prompts and replies.
 */
import type { NewEvent, ReceivedAttributes, ReceivedSpan } from '../../core/events.ts'
import type { AgentId } from '../../core/ids.ts'
import { answerOtlp, OTLP_DOC, readOtlp } from '../../http/otlp.ts'
import { type Route, routesOf } from '../../http/route.ts'
import type { RunRate } from '../../http/run-rate.ts'
import { CLAIMED_COST } from '../../otel/decode.ts'
import type { Scrub } from '../../state/clean.ts'
import { type RunDeps, runOf } from './run-of.ts'

const route = routesOf('Own run')

/** `clean` builds an event of an agent's data, redacted. */
export const otlpRoutes = (
  { state }: Pick<RunDeps, 'state'>,
  rate: RunRate,
  clean: (agentId: AgentId, build: (scrub: Scrub) => NewEvent[]) => NewEvent[],
): Route[] => [
  route('POST /v1/traces', {
    role: 'agent',
    summary:
      'Takes traces of OpenTelemetry (OTLP) as protobuf or JSON, also with gzip. Of each span its place, name, times and a few attributes are kept.',
    ...OTLP_DOC,
    handle: async ({ context, identity }) => {
      const { agentId } = runOf(identity)
      const { items, rejected } = await readOtlp(context)
      await rate.enter(agentId, items.length)
      const events = clean(agentId, (scrub) => items.map((span) => tracedEvent(span, agentId, scrub)))
      state.recordAll(events.map((event) => ({ event })))
      return answerOtlp(context, rejected)
    },
  }),
]

function tracedEvent(span: ReceivedSpan, agentId: AgentId, scrub: Scrub): NewEvent {
  const name = scrub(span.name)
  const { [CLAIMED_COST]: claimed } = span.attributes
  const claim = typeof claimed === 'number' ? ` · claims $${claimed}` : ''
  return {
    type: 'agent.traced',
    level: 'DEBUG',
    agent_id: agentId,
    message: `traced: ${name || 'a span without a name'}${claim}`,
    data: { ...span, name, attributes: scrubbed(span.attributes, scrub) },
  }
}

const scrubbed = (attributes: ReceivedAttributes, scrub: Scrub): ReceivedAttributes =>
  Object.fromEntries(
    Object.entries(attributes).map(([key, value]) => [key, typeof value === 'string' ? scrub(value) : value]),
  )
