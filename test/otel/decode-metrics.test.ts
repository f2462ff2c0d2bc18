/** Metrics from agents, well-formed or not. */
import { PbfWriter } from 'pbf'
import { expect, test } from 'vitest'
import type { ReceivedPoint } from '../../src/core/events.ts'
import { METRICS_JSON, readMetrics, readMetricsProtobuf } from '../../src/otel/decode-metrics.ts'
import { encodeMetrics } from '../../src/otel/encode.ts'
import { metricsOf } from '../../src/otel/measured.ts'
import { decode } from './collector.ts'
import { readOddBytes } from './odd-bytes.ts'

const point = (change: Partial<ReceivedPoint> = {}): ReceivedPoint => ({
  ...{ name: 'jobs', unit: '{job}', kind: 'sum', cumulative: false, monotonic: true, value: 3 },
  ...{ started_at: '2023-11-14T22:13:20.000Z', measured_at: '2023-11-14T22:13:21.000Z', bounds: [], counts: [] },
  attributes: { model: 'sonnet' },
  ...change,
})
const POINTS = [
  point(),
  point({ name: 'queue', monotonic: false, cumulative: true, value: -2.5, unit: '' }),
  point({ name: 'took', kind: 'histogram', value: 7, bounds: [1, 5], counts: [0, 2, 1], attributes: {} }),
  point({ name: 'level', kind: 'gauge', monotonic: false, started_at: null, value: 0.25 }),
]
const bodyOf = (points: readonly ReceivedPoint[]): Uint8Array =>
  encodeMetrics(
    { resource: { 'service.name': 'the resource-canary' }, version: '1' },
    metricsOf(points.map(({ attributes, ...rest }) => ({ ...rest, attributes: attributes as Record<string, string> }))),
  )
const body = bodyOf(POINTS)

test('the name, unit, kind, times, values and a few attributes of a point are read, and sent on as they came', () => {
  const { items, rejected } = readMetricsProtobuf(body)
  expect({ items, rejected }).toEqual({ items: POINTS, rejected: 0 })
})

test('JSON is read alike, as the protobuf classes of PyPI write it', async () => {
  const [json] = await decode([{ signal: 'metrics', body }])
  const { items, rejected } = readMetrics(METRICS_JSON.parse(numbered(json)))
  expect({ items, rejected }).toEqual({ items: POINTS, rejected: 0 })
})

/** With enums as numbers, which OTLP asks for. */
const numbered = (json: unknown): unknown =>
  JSON.parse(
    JSON.stringify(json)
      .replaceAll('"AGGREGATION_TEMPORALITY_DELTA"', '1')
      .replaceAll('"AGGREGATION_TEMPORALITY_CUMULATIVE"', '2'),
  )

test('points that differ in dropped attributes alone are added up, of gauges the last one counts', () => {
  const canary = { 'user.email': 'ann@example.com' }
  const others = POINTS.map(({ attributes, ...rest }) => ({ ...rest, attributes: { ...attributes, ...canary } }))
  const { items } = readMetricsProtobuf(bodyOf([...POINTS, ...others]))
  expect(items).toEqual([
    { ...POINTS[0], value: 6 },
    { ...POINTS[1], value: -5 },
    { ...POINTS[2], value: 14, counts: [0, 4, 2] },
    POINTS[3],
  ])
})

test('points of other kinds, and without a valid name, value, time or buckets, are rejected and counted', () => {
  const odd = [
    point({ name: '' }),
    point({ name: 'for ann@example.com' }),
    point({ value: Number.NaN }),
    point({ started_at: '2024-11-14T22:13:20.000Z' }),
    point({ kind: 'histogram', bounds: [1], counts: [1] }),
    point({ kind: 'histogram', bounds: [5, 1], counts: [1, 1, 1] }),
    point({ kind: 'histogram', bounds: Array.from({ length: 64 }, (_, n) => n), counts: Array(65).fill(1) }),
  ]
  const exponential = new PbfWriter()
  const nested = (number: number, write: (pbf: PbfWriter) => void) => (pbf: PbfWriter) =>
    pbf.writeMessage(number, (_, inner) => write(inner), undefined)
  const metric = nested(
    10,
    nested(1, (pbf) => pbf.writeFixed64Field(3, 1)),
  )
  nested(1, nested(2, nested(2, metric)))(exponential)
  const { items, rejected } = readMetricsProtobuf(Buffer.concat([bodyOf([...odd, ...POINTS]), exponential.finish()]))
  expect({ items, rejected }).toEqual({ items: POINTS, rejected: odd.length + 1 })
})

/** Expects the returned items to be within bounds. */
function readWithinBounds(bytes: Uint8Array): void {
  const { items } = readMetricsProtobuf(bytes)
  expect(items.length).toBeLessThanOrEqual(1_000)
  for (const { name, value, bounds, counts, measured_at, attributes } of items) {
    expect(name).toMatch(/^[\w.\-/]{1,200}$/)
    expect([value, ...bounds, ...counts].every(Number.isFinite)).toBe(true)
    expect(Math.max(bounds.length, counts.length)).toBeLessThanOrEqual(64)
    expect(new Date(measured_at).toISOString()).toBe(measured_at)
    expect(Object.keys(attributes).length).toBeLessThanOrEqual(15)
  }
}

test('random bytes, and messages with changed, missing and added bytes, are read within bounds or refused', () => {
  readOddBytes(body, readWithinBounds)
})

test('too many points are refused, before and after equal ones are added up', () => {
  const different = Array.from({ length: 1_001 }, (_, n) => point({ attributes: { model: `m${n}` } }))
  expect(() => readMetricsProtobuf(bodyOf(different))).toThrow('at most 1000 points')
  const equal = Array.from({ length: 2_001 }, () => point())
  expect(() => readMetricsProtobuf(bodyOf(equal))).toThrow('at most 2000 points')
  expect(readMetricsProtobuf(bodyOf(equal.slice(1))).items).toEqual([point({ value: 6_000 })])
})
