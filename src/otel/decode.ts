/**
 * Reads the traces that agents send of themselves: an ExportTraceServiceRequest of opentelemetry-proto 1.x, as protobuf or
 * JSON. Whatever is sent is a list of spans within bounds, or refused.
 *
 * The rules are:
 * - Attributes that are not on the list are not even read. The list names the kind of work of a span, never its
 *   content. Tokens are not on it: the gateway knows them, and would count them twice. A cost is kept as a claim.
 * - Everything else of a span is dropped: messages of errors, events, links, scopes, resources.
 */
import * as z from 'zod'
import { isoTime } from '../core/clock.ts'
import type { ReceivedAttributes, ReceivedSpan } from '../core/events.ts'
import {
  ATTRIBUTES,
  field,
  fixed64,
  hexOf,
  type KeptKeys,
  keptOf,
  MAX_MS,
  NANOS,
  parsed,
  type Reader,
  type Received,
  readAttribute,
  readMessage,
  shortened,
  textOf,
  tooMany,
  varint,
} from './wire.ts'

/** Attributes that are kept, if their values are of a plain type. */
const ATTRIBUTES_AS_SENT = [
  'gen_ai.operation.name',
  'gen_ai.provider.name',
  'gen_ai.request.model',
  'gen_ai.response.model',
  'gen_ai.agent.name',
  'gen_ai.tool.name',
  'gen_ai.tool.type',
  'openinference.span.kind',
  'error.type',
  'http.response.status_code',
] as const

/**
 * The cost that an agent reports for its work. The gateway knows the cost of calls: no budget and no sum has this one.
 */
export const CLAIMED_COST = 'iron_cage.claimed.cost_usd'

/** Those of the conventions for GenAI, their drafts, and OpenInference. */
const CLAIMS_OF_COST = ['gen_ai.usage.cost', 'gen_ai.usage.cost.amount', 'llm.cost.total'] as const

const KEPT_KEYS: KeptKeys = new Map([
  ...ATTRIBUTES_AS_SENT.map((key) => [key, key] as const),
  ...CLAIMS_OF_COST.map((key) => [key, CLAIMED_COST] as const),
])

/** Attributes that are sent on. */
export const ALLOWED_ATTRIBUTES: ReadonlySet<string> = new Set(KEPT_KEYS.values())

/** Of one request; clients send 512. */
const MAX_SPANS = 1_000
const STATUS_ERROR = 2

/** Throws CageError `bad_request`. */
export function readProtobuf(bytes: Uint8Array): Received<ReceivedSpan> {
  const received = new Spans()
  readMessage((reader) => {
    const onSpan = field((span) => received.add(readSpan(reader, span)))
    const onScope = field((scope) => reader.read(scope, { 2: onSpan }))
    reader.read(bytes, { 1: field((resource) => reader.read(resource, { 2: onScope })) })
  })
  return received
}

/** A number as the message has it; the rest as text. */
interface RawSpan {
  /** Hexadecimal. */
  traceId: string
  spanId: string
  parentId: string
  name: string
  /** Nanoseconds since 1970. */
  start: number
  end: number
  failed: boolean
  attributes: ReceivedAttributes
}

function readSpan(reader: Reader, bytes: Uint8Array): RawSpan {
  const span: RawSpan = {
    traceId: '',
    spanId: '',
    parentId: '',
    name: '',
    start: 0,
    end: 0,
    failed: false,
    attributes: {},
  }
  reader.read(bytes, {
    1: field((id) => {
      span.traceId = hexOf(id)
    }),
    2: field((id) => {
      span.spanId = hexOf(id)
    }),
    4: field((id) => {
      span.parentId = hexOf(id)
    }),
    5: field((name) => {
      span.name = textOf(name)
    }),
    7: fixed64((at) => {
      span.start = at
    }),
    8: fixed64((at) => {
      span.end = at
    }),
    9: field((attribute) => readAttribute(reader, attribute, span.attributes, KEPT_KEYS)),
    15: field((status) =>
      reader.read(status, {
        3: varint((code) => {
          span.failed = code === STATUS_ERROR
        }),
      }),
    ),
  })
  return span
}

const SPAN = z.object({
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.string().default(''),
  name: z.string().default(''),
  startTimeUnixNano: NANOS,
  endTimeUnixNano: NANOS,
  attributes: ATTRIBUTES,
  status: z.object({ code: z.unknown() }).default({ code: 0 }),
})
const SCOPE = z.object({ spans: z.array(z.unknown()).default([]) })
const RESOURCE = z.object({ scopeSpans: z.array(SCOPE).default([]) })

/** The body as OTLP has it in JSON. */
export const TRACES_JSON = z.object({ resourceSpans: z.array(RESOURCE).default([]) })

/** Throws CageError `bad_request`, also for too many spans. */
export function readTraces({ resourceSpans }: z.output<typeof TRACES_JSON>): Received<ReceivedSpan> {
  const received = new Spans()
  for (const { scopeSpans } of resourceSpans) {
    for (const { spans } of scopeSpans) {
      for (const item of spans) {
        const { traceId, spanId, parentSpanId: parentId, name, ...span } = parsed(SPAN, item, 'a span')
        const attributes = keptOf(span.attributes, KEPT_KEYS)
        const [start, end, failed] = [span.startTimeUnixNano, span.endTimeUnixNano, span.status.code === STATUS_ERROR]
        received.add({ traceId, spanId, parentId, name, start, end, failed, attributes })
      }
    }
  }
  return received
}

/** Those without valid ids or times are rejected. */
class Spans implements Received<ReceivedSpan> {
  readonly items: ReceivedSpan[] = []
  rejected = 0

  add({ traceId, spanId, parentId, name, start, end, failed, attributes }: RawSpan): void {
    if (this.items.length + this.rejected >= MAX_SPANS) throw tooMany(MAX_SPANS, 'spans')
    const [startMs, endMs] = [start / 1e6, end / 1e6].map(Math.round) as [number, number]
    const isValid = isId(traceId, 32) && isId(spanId, 16) && (parentId === '' || isId(parentId, 16))
    if (!isValid || !(startMs >= 0 && startMs <= endMs && endMs <= MAX_MS)) {
      this.rejected += 1
      return
    }
    this.items.push({
      trace_id: traceId.toLowerCase(),
      span_id: spanId.toLowerCase(),
      parent_id: parentId === '' ? null : parentId.toLowerCase(),
      name: shortened(name),
      started_at: isoTime(startMs),
      ended_at: isoTime(endMs),
      failed,
      attributes,
    })
  }
}

/** As in W3C Trace Context: not only zeros. */
const isId = (id: string, digits: number): boolean => id.length === digits && /^[0-9a-f]*[1-9a-f][0-9a-f]*$/i.test(id)
