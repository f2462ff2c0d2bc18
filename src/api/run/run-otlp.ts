/**
 * Takes agents' own traces and metrics of OpenTelemetry (OTLP over HTTP), and puts them beside the calls of the same
 * run. No logs: they contain prompts and replies.
 */
import type { NewEvent, ReceivedAttributes, ReceivedPoint, ReceivedSpan } from '../../core/events.ts'
import type { AgentId } from '../../core/ids.ts'
import { answerOtlp, METRICS, otlpDoc, readOtlp, TRACES } from '../../http/otlp.ts'
import { type Route, routesOf } from '../../http/route.ts'
import type { RunRate } from '../../http/run-rate.ts'
import { CLAIMED_COST } from '../../otel/decode.ts'
import { isClaim } from '../../otel/metrics.ts'
import type { Scrub } from '../../state/clean.ts'
import { type RunDeps, runOf } from './run-of.ts'

const route = routesOf('Own run')

/** `clean` builds an event of an agent's data, redacted. */
export const otlpRoutes = (
  { state }: Pick<RunDeps, 'state'>,
  rate: RunRate,
  clean: (agentId: AgentId, build: (scrub: Scrub) => NewEvent[]) => NewEvent[],
): Route[] => {
  const record = async <Item>(
    agentId: AgentId,
    items: readonly Item[],
    eventOf: (item: Item, agentId: AgentId, scrub: Scrub) => NewEvent,
  ): Promise<void> => {
    await rate.enter(agentId, items.length)
    const events = clean(agentId, (scrub) => items.map((item) => eventOf(item, agentId, scrub)))
    state.recordAll(events.map((event) => ({ event })))
  }
  return [
    route('POST /v1/traces', {
      role: 'agent',
      summary:
        'Takes traces of OpenTelemetry (OTLP) as protobuf or JSON, also with gzip. Of each span its place, name, times and a few attributes are kept.',
      ...otlpDoc(TRACES),
      handle: async ({ context, identity }) => {
        const received = await readOtlp(context, TRACES)
        await record(runOf(identity).agentId, received.items, tracedEvent)
        return answerOtlp(context, TRACES, received)
      },
    }),
    route('POST /v1/metrics', {
      role: 'agent',
      summary:
        'Takes metrics of OpenTelemetry (OTLP) likewise. Of each point its name, unit, times, values and a few attributes are kept; points that differ in others are added up.',
      ...otlpDoc(METRICS),
      handle: async ({ context, identity }) => {
        const received = await readOtlp(context, METRICS)
        await record(runOf(identity).agentId, received.items, measuredEvent)
        return answerOtlp(context, METRICS, received)
      },
    }),
  ]
}

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

function measuredEvent(point: ReceivedPoint, agentId: AgentId, scrub: Scrub): NewEvent {
  const [name, unit] = [scrub(point.name), scrub(point.unit)]
  const claim = isClaim(name, unit) ? ' (claimed)' : ''
  return {
    type: 'agent.measured',
    level: 'DEBUG',
    agent_id: agentId,
    message: `measured: ${name} ${point.value}${unit && ` ${unit}`}${claim}`,
    data: { ...point, name, unit, attributes: scrubbed(point.attributes, scrub) },
  }
}

const scrubbed = (attributes: ReceivedAttributes, scrub: Scrub): ReceivedAttributes =>
  Object.fromEntries(
    Object.entries(attributes).map(([key, value]) => [key, typeof value === 'string' ? scrub(value) : value]),
  )
