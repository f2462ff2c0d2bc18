/**
 * Reads the traces that agents send of themselves: an ExportTraceServiceRequest of opentelemetry-proto 1.x, as protobuf or
 * JSON. Whatever is sent is a list of spans within bounds, or refused.
 *
 * The rules are:
 * - What is not on the list of attributes is not even read. The list says what kind of work a span is, never what was said in
 *   it. Tokens and cost are not on it: the gateway knows them, and would count them twice.
 * - Everything else of a span is dropped: messages of errors, events, links, scopes, resources.
 */
import { PbfReader } from 'pbf'
import * as z from 'zod'
import { isoTime } from '../clock.ts'
import { CageError } from '../errors.ts'
import type { ReceivedSpan } from '../events.ts'

export interface ReceivedSpans {
  spans: ReceivedSpan[]
  /** Spans without valid ids or times, which are left out. */
  rejected: number
}

/** Attributes that are kept, if their values are of a plain type, and sent on. */
export const ALLOWED_ATTRIBUTES: ReadonlySet<string> = new Set([
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
])

/** Of one request; clients send 512. */
const MAX_SPANS = 1_000
/** Messages within it: a megabyte of empty ones would block the event loop for too long. */
const MAX_PARTS = 100_000
const MAX_TEXT = 200
const STATUS_ERROR = 2

/** Throws CageError `bad_request`. */
export function readProtobuf(bytes: Uint8Array): ReceivedSpans {
  const received = new Received()
  try {
    const reader = new Reader()
    const onSpan = field((span) => received.add(readSpan(reader, span)))
    const onScope = field((scope) => reader.read(scope, { 2: onSpan }))
    reader.read(bytes, { 1: field((resource) => reader.read(resource, { 2: onScope })) })
  } catch (cause) {
    if (cause instanceof CageError) throw cause
    throw new CageError('bad_request', 'the body is no message of OpenTelemetry', { cause })
  }
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
  attributes: ReceivedSpan['attributes']
}

/** A value of one plain type, undefined for another one. */
type Plain = string | number | boolean | undefined

type Field = (pbf: PbfReader) => void

/** Reads each message within its own bytes: a wrong length cannot reach beyond them, and nothing nests deeper than is read. */
class Reader {
  #parts = 0

  /** Fields that are not named are skipped. */
  read(bytes: Uint8Array, fields: Readonly<Record<number, Field>>): void {
    this.#parts += 1
    if (this.#parts > MAX_PARTS) throw tooMany(MAX_PARTS, 'parts')
    const pbf = new PbfReader(bytes)
    for (let number = pbf.nextField(); number !== 0; number = pbf.nextField()) fields[number]?.(pbf)
    if (pbf.pos !== pbf.length) throw new RangeError('a field is longer than its message')
  }
}

// The types of the wire. A field of another type than it should have is skipped.
const [VARINT, FIXED64, BYTES] = [0, 1, 2]
const field =
  (use: (bytes: Uint8Array) => void): Field =>
  (pbf) => {
    if (pbf.type === BYTES) use(pbf.readBytes())
  }
const fixed64 =
  (use: (value: number) => void): Field =>
  (pbf) => {
    if (pbf.type === FIXED64) use(pbf.readFixed64())
  }
const varint =
  (use: (value: number) => void): Field =>
  (pbf) => {
    if (pbf.type === VARINT) use(pbf.readVarint(true))
  }

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes.subarray(0, 17)).toString('hex')
const textOf = (bytes: Uint8Array): string => Buffer.from(bytes.subarray(0, 4 * MAX_TEXT)).toString('utf8')

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
    9: field((attribute) => readAttribute(reader, attribute, span.attributes)),
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

function readAttribute(reader: Reader, bytes: Uint8Array, attributes: ReceivedSpan['attributes']): void {
  let key = ''
  let content: Uint8Array | undefined
  reader.read(bytes, {
    1: field((text) => {
      key = textOf(text)
    }),
    2: field((value) => {
      content = value
    }),
  })
  if (content && ALLOWED_ATTRIBUTES.has(key)) keep(attributes, key, readValue(reader, content))
}

/** Lists, maps and bytes are of no plain type. */
function readValue(reader: Reader, bytes: Uint8Array): Plain {
  let value: Plain
  reader.read(bytes, {
    1: field((text) => {
      value = textOf(text)
    }),
    2: varint((flag) => {
      value = flag !== 0
    }),
    3: varint((int) => {
      value = int
    }),
    4: (pbf) => {
      if (pbf.type === FIXED64) value = pbf.readDouble()
    },
  })
  return value
}

const NANOS = z
  .union([z.string().max(30), z.number()])
  .default(0)
  .transform(Number)
const VALUE = z.object({
  stringValue: z.string().optional().catch(undefined),
  boolValue: z.boolean().optional().catch(undefined),
  intValue: z
    .union([z.string().max(30), z.number()])
    .transform(Number)
    .optional()
    .catch(undefined),
  doubleValue: z.number().optional().catch(undefined),
})
const SPAN = z.object({
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.string().default(''),
  name: z.string().default(''),
  startTimeUnixNano: NANOS,
  endTimeUnixNano: NANOS,
  attributes: z.array(z.object({ key: z.string(), value: z.unknown() })).default([]),
  status: z.object({ code: z.unknown() }).default({ code: 0 }),
})
const SCOPE = z.object({ spans: z.array(SPAN).default([]) })
const RESOURCE = z.object({ scopeSpans: z.array(SCOPE).default([]) })

/** The body as OTLP has it in JSON. */
export const TRACES_JSON = z.object({ resourceSpans: z.array(RESOURCE).default([]) })

/** Throws CageError `bad_request` for too many spans. */
export function readTraces({ resourceSpans }: z.output<typeof TRACES_JSON>): ReceivedSpans {
  const received = new Received()
  for (const { scopeSpans } of resourceSpans) {
    for (const { spans } of scopeSpans) {
      for (const {
        traceId,
        spanId,
        parentSpanId: parentId,
        name,
        startTimeUnixNano,
        endTimeUnixNano,
        ...span
      } of spans) {
        const attributes = {}
        for (const { key, value } of span.attributes) {
          if (ALLOWED_ATTRIBUTES.has(key)) keep(attributes, key, plainOf(value))
        }
        const [start, end, failed] = [startTimeUnixNano, endTimeUnixNano, span.status.code === STATUS_ERROR]
        received.add({ traceId, spanId, parentId, name, start, end, failed, attributes })
      }
    }
  }
  return received
}

function plainOf(value: unknown): Plain {
  const { data } = VALUE.safeParse(value)
  return data?.stringValue ?? data?.boolValue ?? data?.intValue ?? data?.doubleValue
}

function keep(attributes: ReceivedSpan['attributes'], key: string, value: Plain): void {
  if (typeof value === 'string') attributes[key] = shortened(value)
  else if (typeof value === 'boolean' || (value !== undefined && isPlainNumber(value))) attributes[key] = value
}

/** Larger ones would be rounded. */
const isPlainNumber = (value: number): boolean => Math.abs(value) <= Number.MAX_SAFE_INTEGER
const shortened = (text: string): string => text.slice(0, MAX_TEXT).toWellFormed()

class Received implements ReceivedSpans {
  readonly spans: ReceivedSpan[] = []
  rejected = 0

  add({ traceId, spanId, parentId, name, start, end, failed, attributes }: RawSpan): void {
    if (this.spans.length + this.rejected >= MAX_SPANS) throw tooMany(MAX_SPANS, 'spans')
    const [startMs, endMs] = [start / 1e6, end / 1e6].map(Math.round) as [number, number]
    const isValid = isId(traceId, 32) && isId(spanId, 16) && (parentId === '' || isId(parentId, 16))
    if (!isValid || !(startMs >= 0 && startMs <= endMs && endMs <= MAX_MS)) {
      this.rejected += 1
      return
    }
    this.spans.push({
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

/** The last millisecond of the year 9999. */
const MAX_MS = 253_402_300_799_999

/** As in W3C Trace Context: not only zeros. */
const isId = (id: string, digits: number): boolean => id.length === digits && /^[0-9a-f]*[1-9a-f][0-9a-f]*$/i.test(id)

const tooMany = (max: number, what: string): CageError =>
  new CageError('bad_request', `a request holds at most ${max} ${what}`)
