/**
 * Makes spans of events, by OpenTelemetry's semantic conventions for GenAI (gen-ai/gen-ai-spans, gen-ai-agent-spans).
 * They never contain the content of calls.
 *
 * The rules are:
 * - Each run of an agent is one trace. Its ids are made of the run's, so that calls find their parent before the root
 *   is sent, and after a restart of the server.
 * - A call that came with a `traceparent` belongs to the client's own trace instead.
 * - A client with an API token has no run: each of its calls is a trace.
 * - Each paid call has a separate span. Where several calls were made for one request, after a lost answer or of other
 *   models, a span encloses them. Where a call sent several requests, each is a span within it. Tokens and cost are in
 *   the spans of calls alone, so that none is counted twice.
 * - An agent's own spans keep their ids: the calls within it have named it as their parent.
 */
import { createHash } from 'node:crypto'
import type {
  AgentState,
  AttemptView,
  EventOf,
  ReceivedAttributes,
  ReceivedSpan,
  RuntimeEvent,
} from '../core/events.ts'
import type { AgentId, RunId } from '../core/ids.ts'
import { type AgentView, isClient } from '../state/snapshot.ts'
import { ALLOWED_ATTRIBUTES } from './decode.ts'
import { type Attributes, double, int, type Span } from './span.ts'

/** The common attributes of the calls of a run. */
interface Run {
  id: RunId
  name: string
  /** ISO 8601 UTC. */
  startedAt: string
  tags: AgentView['tags']
}

export interface TracerOptions {
  findAgent: (id: AgentId) => AgentView | undefined
  /** A provider's name in OpenTelemetry. */
  providerName: (name: string) => string
}

type CallEvent = EventOf<'call.completed'> | EventOf<'call.failed'> | EventOf<'call.refused'>

/** A call may end after its run: the last ones are kept. Those of older runs are found by their agents. */
const MAX_RUNS = 500

/** Ends that are no failure of the run. */
const GOOD_ENDS: ReadonlySet<AgentState> = new Set(['completed', 'stopped'])

export class Tracer {
  readonly #options: TracerOptions
  /** The last runs whose start was seen, by their agents. */
  readonly #runs = new Map<AgentId, Run>()

  constructor(options: TracerOptions) {
    this.#options = options
  }

  /** Takes events in order. */
  spansOf(event: RuntimeEvent): Span[] {
    switch (event.type) {
      case 'agent.started':
        this.#began(event)
        return []
      case 'agent.exited':
        return this.#runSpans(event)
      case 'call.completed':
      case 'call.failed':
      case 'call.refused':
        return this.#callSpans(event)
      case 'call.retried':
        return [this.#retriedSpan(event)]
      case 'service.called':
        return this.#serviceSpans(event)
      case 'agent.traced':
        return this.#ownSpans(event)
      default:
        return []
    }
  }

  #began({ agent_id, at, data: { run_id, name, pid, tags } }: EventOf<'agent.started'>): void {
    if (agent_id === null || pid === null) return
    // The newest is the last.
    this.#runs.delete(agent_id)
    this.#runs.set(agent_id, { id: run_id, name, startedAt: at, tags })
    const [oldest] = this.#runs.keys()
    if (this.#runs.size > MAX_RUNS && oldest !== undefined) this.#runs.delete(oldest)
  }

  #runOf(agentId: AgentId | null): Run | undefined {
    if (agentId === null) return undefined
    const seen = this.#runs.get(agentId)
    if (seen) return seen
    const agent = this.#options.findAgent(agentId)
    if (!agent || isClient(agent)) return undefined
    return { id: agent.run_id, name: agent.name, startedAt: agent.started_at, tags: agent.tags }
  }

  #runSpans(event: EventOf<'agent.exited'>): Span[] {
    const { agent_id, at, data } = event
    const run = this.#runOf(agent_id)
    if (!run || agent_id === null) return []
    const { exit_code, signal, state, reason } = data
    return [
      {
        traceId: traceIdOf(run.id),
        id: spanIdOf(run.id),
        parentId: undefined,
        name: `invoke_agent ${run.name}`,
        kind: 'internal',
        startMs: Date.parse(run.startedAt),
        endMs: Date.parse(at),
        attributes: {
          'gen_ai.operation.name': 'invoke_agent',
          ...agentAttributes(agent_id, run),
          'iron_cage.agent.state': state,
          'process.exit.code': int(exit_code),
          'iron_cage.signal': signal ?? undefined,
        },
        error: GOOD_ENDS.has(state) ? undefined : reason,
      },
    ]
  }

  #retriedSpan(event: EventOf<'call.retried'>): Span {
    const { call_id, provider, model, calls, code, status, latency_ms, traceparent } = event.data
    const run = this.#runOf(event.agent_id)
    return {
      ...placeOf(traceparent, run, call_id),
      id: requestSpanIdOf(call_id),
      name: `request ${model}`,
      kind: 'internal',
      ...timesOf(event, latency_ms),
      attributes: {
        'gen_ai.provider.name': this.#options.providerName(provider),
        'gen_ai.request.model': model,
        'http.response.status_code': int(status),
        ...agentAttributes(event.agent_id, run),
        'iron_cage.call.id': call_id,
        'iron_cage.calls': int(calls),
        'error.type': code ?? undefined,
      },
      error: code === null ? undefined : event.message,
    }
  }

  #callSpans(event: CallEvent): Span[] {
    const { call_id, provider, model } = event.data
    const { first_call_id: firstId, attempts } = event.type === 'call.refused' ? {} : event.data
    const run = this.#runOf(event.agent_id)
    const place = placeOf(event.data.traceparent, run, firstId ?? call_id)
    const span: Span = {
      ...place,
      ...(firstId !== undefined && { parentId: requestSpanIdOf(firstId) }),

      id: spanIdOf(call_id),
      name: model === null ? 'chat' : `chat ${model}`,
      kind: 'client',
      ...timesOf(event, event.type === 'call.refused' ? 0 : event.data.latency_ms),
      attributes: {
        'gen_ai.operation.name': 'chat',
        'gen_ai.provider.name': this.#options.providerName(provider),
        'gen_ai.request.model': model ?? undefined,
        'http.response.status_code': int(event.data.status),
        ...agentAttributes(event.agent_id, run),
        'iron_cage.call.id': call_id,
        ...outcomeOf(event),
      },
      error: event.type === 'call.completed' ? undefined : event.message,
    }
    return withAttempts(span, attempts)
  }

  #serviceSpans(event: EventOf<'service.called'>): Span[] {
    const { call_id, service, ok, status, tier, blocked, cost_usd, latency_ms, traceparent, attempts } = event.data
    const run = this.#runOf(event.agent_id)
    const span: Span = {
      ...placeOf(traceparent, run, call_id),
      id: spanIdOf(call_id),
      name: `execute_tool ${service}`,
      kind: 'client',
      ...timesOf(event, latency_ms),
      attributes: {
        'gen_ai.operation.name': 'execute_tool',
        'gen_ai.tool.name': service,
        'http.response.status_code': int(status),
        ...agentAttributes(event.agent_id, run),
        'iron_cage.call.id': call_id,
        'iron_cage.cost.usd': double(Number(cost_usd)),
        'iron_cage.fallback.tier': int(tier),
        'iron_cage.circuit.open': blocked,
      },
      error: ok ? undefined : event.message,
    }
    return withAttempts(span, attempts)
  }

  /** None for ids that no collector takes. */
  #ownSpans({ agent_id, data }: EventOf<'agent.traced'>): Span[] {
    const { trace_id, span_id, parent_id } = data
    const isValid = TRACE_ID.test(trace_id) && SPAN_ID.test(span_id) && (parent_id === null || SPAN_ID.test(parent_id))
    return isValid ? [receivedSpan(data, agentAttributes(agent_id, this.#runOf(agent_id)))] : []
  }
}

/** A span that an agent made, with its own ids. `attributes`: those of its agent. */
function receivedSpan(span: ReceivedSpan, attributes: Attributes): Span {
  const { trace_id, span_id, parent_id, name, started_at, ended_at, failed } = span
  return {
    traceId: Buffer.from(trace_id, 'hex'),
    id: Buffer.from(span_id, 'hex'),
    parentId: parent_id === null ? undefined : Buffer.from(parent_id, 'hex'),
    name,
    kind: 'internal',
    startMs: Date.parse(started_at),
    endMs: Date.parse(ended_at),
    attributes: { ...attributes, ...ownAttributes(span.attributes) },
    error: failed ? `${name} failed` : undefined,
  }
}

/** The span of a call, and one within it for each of its requests if they were several. */
function withAttempts(span: Span, attempts: readonly AttemptView[] = []): Span[] {
  const { traceId, id, name, attributes } = span
  const spans = attempts.map(({ after_ms, latency_ms, status, reason }, index): Span => {
    const startMs = span.startMs + after_ms
    return {
      traceId,
      id: spanIdOf(`${Buffer.from(id).toString('hex')} ${index}`),
      parentId: id,
      name: `attempt ${name}`,
      kind: 'client',
      startMs,
      endMs: startMs + latency_ms,
      attributes: {
        'http.response.status_code': int(status),
        'http.request.resend_count': index === 0 ? undefined : int(index),
        'gen_ai.agent.id': attributes['gen_ai.agent.id'],
        'iron_cage.call.id': attributes['iron_cage.call.id'],
      },
      error: reason ?? undefined,
    }
  })
  return [...spans, span]
}

/** What became of a call. */
function outcomeOf(event: CallEvent): Attributes {
  if (event.type === 'call.refused') return { 'error.type': event.data.code, 'iron_cage.calls': int(event.data.calls) }
  const { cost_usd, estimated, waited_ms } = event.data
  const charged = {
    'gen_ai.usage.cost': double(Number(cost_usd)),
    'iron_cage.cost.estimated': estimated,
    'iron_cage.waited_ms': int(waited_ms),
  }
  if (event.type === 'call.failed') {
    const { code, circuit, retryable } = event.data
    return { ...charged, 'error.type': code, 'iron_cage.circuit': circuit, 'iron_cage.retryable': retryable }
  }
  const { input_tokens, cached_input_tokens, output_tokens, stream, first_byte_ms, redactions } = event.data
  return {
    ...charged,
    'gen_ai.usage.input_tokens': int(input_tokens),
    'gen_ai.usage.output_tokens': int(output_tokens),
    'gen_ai.usage.cache_read.input_tokens': int(cached_input_tokens),
    'gen_ai.request.stream': stream,
    'iron_cage.first_byte_ms': int(first_byte_ms),
    'iron_cage.redactions': int(redactions),
  }
}

const agentAttributes = (agentId: AgentId | null, run: Run | undefined): Attributes => ({
  'gen_ai.agent.id': agentId ?? undefined,
  'gen_ai.agent.name': run?.name,
  'iron_cage.run.id': run?.id,
  ...Object.fromEntries(Object.entries(run?.tags ?? {}).map(([name, value]) => [`iron_cage.tag.${name}`, value])),
})

const timesOf = ({ at }: RuntimeEvent, latencyMs: number): Pick<Span, 'startMs' | 'endMs'> => {
  const endMs = Date.parse(at)
  return { startMs: endMs - latencyMs, endMs }
}

/** The trace and the parent of a call. `callId`: makes the trace of one without a run. */
function placeOf(
  traceparent: string | undefined,
  run: Run | undefined,
  callId: string,
): Pick<Span, 'traceId' | 'parentId'> {
  const [, traceId, parentId] = TRACEPARENT.exec(traceparent ?? '') ?? []
  if (traceId && parentId) return { traceId: Buffer.from(traceId, 'hex'), parentId: Buffer.from(parentId, 'hex') }
  return { traceId: traceIdOf(run?.id ?? callId), parentId: run && spanIdOf(run.id) }
}

/** The agent's attributes that are sent on. */
const ownAttributes = (attributes: ReceivedAttributes): Attributes =>
  Object.fromEntries(
    Object.entries(attributes)
      .filter(([key]) => ALLOWED_ATTRIBUTES.has(key))
      .map(([key, value]) => [key, typeof value === 'number' ? numberOf(value) : value]),
  )

const numberOf = (value: number) => (Number.isSafeInteger(value) ? int(value) : double(value))

const TRACE_ID = /^[0-9a-f]{32}$/
const SPAN_ID = /^[0-9a-f]{16}$/
/** As W3C Trace Context has it. */
const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-/

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
const traceIdOf = (id: string): Uint8Array => digest(id).subarray(0, 16)
const spanIdOf = (id: string): Uint8Array => digest(id).subarray(16, 24)
/** Of what encloses several calls for one request. `id`: of the first one, whose own span is made of it. */
const requestSpanIdOf = (id: string): Uint8Array => spanIdOf(`request ${id}`)
