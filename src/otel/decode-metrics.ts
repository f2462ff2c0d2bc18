/**
 * Reads the metrics that agents send of themselves: an ExportMetricsServiceRequest of opentelemetry-proto 1.x, as protobuf or
 * JSON. Whatever is sent is a list of points within bounds, or refused.
 *
 * The rules are:
 * - Attributes that are not on the list are dropped. Points that differ in nothing else then are one: sums and histograms of
 *   the same time are added up.
 * - Everything else is dropped: descriptions, resources, scopes, exemplars, least and greatest values.
 * - Exponential histograms and summaries are rejected, and the answer names them.
 */
import * as z from 'zod'
import { isoTime } from '../core/clock.ts'
import type { ReceivedAttributes, ReceivedPoint } from '../core/events.ts'
import { KEPT_KEYS as OF_SPANS } from './decode.ts'
import {
  ATTRIBUTES,
  double,
  field,
  fixed64,
  isPlainNumber,
  type KeptKeys,
  keptOf,
  LONG,
  long,
  MAX_MS,
  NANOS,
  packed,
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

/** `type` and `model`: as Claude Code has them. */
const KEPT_KEYS: KeptKeys = new Map([
  ...OF_SPANS,
  ...['gen_ai.token.type', 'type', 'model'].map((key) => [key, key] as const),
])

export const MEASURED_ATTRIBUTES: ReadonlySet<string> = new Set(KEPT_KEYS.values())

/** Of one request, before equal ones are added up. */
const MAX_RECEIVED = 2_000
/** After that. */
const MAX_POINTS = 1_000
/** Of a histogram; one of tokens has fifteen. */
const MAX_COUNTS = 64
const DELTA = 1
const CUMULATIVE = 2
const NO_RECORDED_VALUE = 1

/** Throws CageError `bad_request`. */
export function readMetricsProtobuf(bytes: Uint8Array): Received<ReceivedPoint> {
  const received = new Points()
  readMessage((reader) => {
    const onMetric = field((metric) => readMetric(reader, metric, received))
    const onScope = field((scope) => reader.read(scope, { 2: onMetric }))
    reader.read(bytes, { 1: field((resource) => reader.read(resource, { 2: onScope })) })
  })
  return received
}

interface RawMetric {
  name: string
  unit: string
  kind: ReceivedPoint['kind'] | undefined
  temporality: number
  monotonic: boolean
}

interface RawPoint {
  /** Nanoseconds since 1970. */
  start: number
  at: number
  value: number
  /** Of a histogram, which may have no buckets. */
  count: number
  bounds: number[]
  counts: number[]
  flags: number
  attributes: ReceivedAttributes
}

const noPoint = (): RawPoint => ({
  start: 0,
  at: 0,
  value: Number.NaN,
  count: 0,
  bounds: [],
  counts: [],
  flags: 0,
  attributes: {},
})

function readMetric(reader: Reader, bytes: Uint8Array, received: Points): void {
  const metric: RawMetric = { name: '', unit: '', kind: undefined, temporality: 0, monotonic: false }
  const points: RawPoint[] = []
  const data = (kind: RawMetric['kind'], read: (reader: Reader, point: Uint8Array) => RawPoint) =>
    field((content) => {
      metric.kind = kind
      reader.read(content, {
        1: field((point) => {
          received.count()
          points.push(read(reader, point))
        }),
        2: varint((temporality) => {
          metric.temporality = temporality
        }),
        3: varint((flag) => {
          metric.monotonic = flag !== 0
        }),
      })
    })
  reader.read(bytes, {
    1: field((text) => {
      metric.name = textOf(text)
    }),
    3: field((text) => {
      metric.unit = textOf(text)
    }),
    5: data('gauge', readNumber),
    7: data('sum', readNumber),
    9: data('histogram', readHistogram),
    10: data(undefined, noPoint),
    11: data(undefined, noPoint),
  })
  for (const point of points) received.add(metric, point)
}

function readNumber(reader: Reader, bytes: Uint8Array): RawPoint {
  const point = noPoint()
  const onValue = (value: number): void => {
    point.value = value
  }
  reader.read(bytes, {
    ...timesOf(point),
    4: double(onValue),
    6: long(onValue),
    7: onAttribute(reader, point),
    8: onFlags(point),
  })
  return point
}

function readHistogram(reader: Reader, bytes: Uint8Array): RawPoint {
  const point = { ...noPoint(), value: 0 }
  reader.read(bytes, {
    ...timesOf(point),
    4: fixed64((count) => {
      point.count = count
    }),
    5: double((sum) => {
      point.value = sum
    }),
    6: packed(MAX_COUNTS + 1, 'count', point.counts),
    7: packed(MAX_COUNTS + 1, 'double', point.bounds),
    9: onAttribute(reader, point),
    10: onFlags(point),
  })
  return point
}

const timesOf = (point: RawPoint) => ({
  2: fixed64((at) => {
    point.start = at
  }),
  3: fixed64((at) => {
    point.at = at
  }),
})
const onAttribute = (reader: Reader, { attributes }: RawPoint) =>
  field((attribute) => readAttribute(reader, attribute, attributes, KEPT_KEYS))
const onFlags = (point: RawPoint) =>
  varint((flags) => {
    point.flags = flags
  })

const POINT = z.object({
  startTimeUnixNano: NANOS,
  timeUnixNano: NANOS,
  attributes: ATTRIBUTES,
  flags: z.number().default(0),
})
const NUMBER = POINT.extend({
  asDouble: z.number().optional().catch(undefined),
  asInt: LONG.optional().catch(undefined),
})
const HISTOGRAM = POINT.extend({
  count: LONG.default(0),
  sum: z.number().default(0).catch(Number.NaN),
  bucketCounts: z.array(LONG).default([]),
  explicitBounds: z.array(z.number()).default([]),
})
const DATA = z
  .object({
    dataPoints: z.array(z.unknown()).default([]),
    aggregationTemporality: z.number().default(0),
    isMonotonic: z.boolean().default(false),
  })
  .optional()
const METRIC = z.object({
  name: z.string().default(''),
  unit: z.string().default(''),
  gauge: DATA,
  sum: DATA,
  histogram: DATA,
  exponentialHistogram: DATA,
  summary: DATA,
})
const SCOPE = z.object({ metrics: z.array(z.unknown()).default([]) })
const RESOURCE = z.object({ scopeMetrics: z.array(SCOPE).default([]) })

/** The body as OTLP has it in JSON. */
export const METRICS_JSON = z.object({ resourceMetrics: z.array(RESOURCE).default([]) })

/** Throws CageError `bad_request`, also for too many points. */
export function readMetrics({ resourceMetrics }: z.output<typeof METRICS_JSON>): Received<ReceivedPoint> {
  const received = new Points()
  const metrics = resourceMetrics.flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics))
  if (metrics.length > MAX_RECEIVED) throw tooMany(MAX_RECEIVED, 'metrics')
  for (const item of metrics) {
    const { name, unit, gauge, sum, histogram, ...others } = parsed(METRIC, item, 'a metric')
    const add = (kind: RawMetric['kind'], data: z.output<typeof DATA>, read: (point: unknown) => RawPoint): void => {
      if (!data) return
      const { dataPoints, aggregationTemporality: temporality, isMonotonic: monotonic } = data
      for (const point of dataPoints) {
        received.count()
        received.add({ name, unit, kind, temporality, monotonic }, read(point))
      }
    }
    add('gauge', gauge, numberOf)
    add('sum', sum, numberOf)
    add('histogram', histogram, histogramOf)
    for (const other of Object.values(others)) add(undefined, other, noPoint)
  }
  return received
}

function numberOf(item: unknown): RawPoint {
  const { asDouble, asInt, ...point } = parsed(NUMBER, item, 'a point')
  return { ...rawOf(point), value: asDouble ?? asInt ?? Number.NaN }
}

function histogramOf(item: unknown): RawPoint {
  const {
    sum: value,
    count,
    bucketCounts: counts,
    explicitBounds: bounds,
    ...point
  } = parsed(HISTOGRAM, item, 'a point')
  return { ...rawOf(point), value, count, counts, bounds }
}

const rawOf = ({ startTimeUnixNano, timeUnixNano, attributes, flags }: z.output<typeof POINT>): RawPoint => ({
  ...noPoint(),
  start: startTimeUnixNano,
  at: timeUnixNano,
  flags,
  attributes: keptOf(attributes, KEPT_KEYS),
})

/** Names of instruments, as the specification has them. */
const NAME = /^[a-z][\w.\-/]{0,199}$/i

/** Those of other kinds, or without a valid name, value and time, are rejected. */
class Points implements Received<ReceivedPoint> {
  rejected = 0
  #received = 0
  readonly #points = new Map<string, ReceivedPoint>()

  get items(): ReceivedPoint[] {
    return [...this.#points.values()]
  }

  /** Throws CageError `bad_request` for too many. */
  count(): void {
    this.#received += 1
    if (this.#received > MAX_RECEIVED) throw tooMany(MAX_RECEIVED, 'points')
  }

  add(metric: RawMetric, { flags, ...raw }: RawPoint): void {
    // Says only that nothing was measured.
    if ((flags & NO_RECORDED_VALUE) !== 0) return
    const point = pointOf(metric, raw)
    if (!point) {
      this.rejected += 1
      return
    }
    const { name, unit, kind, cumulative, monotonic, measured_at, bounds, attributes } = point
    const own = Object.entries(attributes).sort(([one], [other]) => (one < other ? -1 : 1))
    const key = JSON.stringify([name, unit, kind, cumulative, monotonic, measured_at, bounds, own])
    const known = this.#points.get(key)
    if (!known && this.#points.size >= MAX_POINTS) throw tooMany(MAX_POINTS, 'points')
    this.#points.set(key, known ? sumOf(known, point) : point)
  }
}

/** Undefined for one that is of no known kind, or not valid. */
function pointOf(
  { name, unit, kind, temporality, monotonic }: RawMetric,
  { start, at, value, count, bounds, counts: given, attributes }: Omit<RawPoint, 'flags'>,
): ReceivedPoint | undefined {
  const [startMs, atMs] = [start / 1e6, at / 1e6].map(Math.round) as [number, number]
  const isCounted = kind === 'gauge' || temporality === DELTA || temporality === CUMULATIVE
  const isTimed = startMs >= 0 && startMs <= atMs && atMs > 0 && atMs <= MAX_MS
  if (kind === undefined || !NAME.test(name) || !isCounted || !isTimed || !isPlainNumber(value)) return undefined
  const isHistogram = kind === 'histogram'
  const counts = isHistogram && given.length === 0 ? [count] : given
  if (isHistogram && !areBuckets(bounds, counts)) return undefined
  return {
    name,
    unit: shortened(unit).slice(0, 63),
    kind,
    cumulative: kind !== 'gauge' && temporality === CUMULATIVE,
    monotonic: isHistogram || (kind === 'sum' && monotonic),
    started_at: start === 0 ? null : isoTime(startMs),
    measured_at: isoTime(atMs),
    value,
    bounds,
    counts,
    attributes,
  }
}

const areBuckets = (bounds: readonly number[], counts: readonly number[]): boolean =>
  counts.length <= MAX_COUNTS &&
  counts.length === bounds.length + 1 &&
  counts.every((count) => Number.isSafeInteger(count) && count >= 0) &&
  bounds.every((bound, index) => Number.isFinite(bound) && (index === 0 || bound > bounds[index - 1]!))

/** Two points that differ in dropped attributes. The last gauge counts. */
function sumOf(one: ReceivedPoint, other: ReceivedPoint): ReceivedPoint {
  if (one.kind === 'gauge') return other
  const starts = [one.started_at, other.started_at].filter((at) => at !== null).sort()
  return {
    ...one,
    started_at: starts[0] ?? null,
    value: one.value + other.value,
    counts: one.counts.map((count, index) => count + other.counts[index]!),
  }
}
