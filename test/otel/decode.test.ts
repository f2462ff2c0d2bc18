/** Traces from agents, well-formed or not. */
import { PbfWriter } from 'pbf'
import { expect, test } from 'vitest'
import { readProtobuf, readTraces, TRACES_JSON } from '../../src/otel/decode.ts'
import { encodeSpans } from '../../src/otel/encode.ts'
import type { Span } from '../../src/otel/span.ts'
import { readOddBytes } from './odd-bytes.ts'

const span: Span = {
  traceId: Buffer.alloc(16, 1),
  id: Buffer.alloc(8, 2),
  parentId: Buffer.alloc(8, 3),
  name: 'chat gpt-4o',
  kind: 'client',
  startMs: 1_700_000_000_000,
  endMs: 1_700_000_000_250,
  attributes: {
    'gen_ai.request.model': 'gpt-4o',
    'http.response.status_code': { int: 429 },
    'gen_ai.input.messages': 'the prompt-canary',
    'gen_ai.usage.input_tokens': { int: 9 },
  },
  error: 'refused, the error-canary',
}
const read = {
  trace_id: '01'.repeat(16),
  span_id: '02'.repeat(8),
  parent_id: '03'.repeat(8),
  name: 'chat gpt-4o',
  started_at: '2023-11-14T22:13:20.000Z',
  ended_at: '2023-11-14T22:13:20.250Z',
  failed: true,
  attributes: { 'gen_ai.request.model': 'gpt-4o', 'http.response.status_code': 429 },
}
const SENDER = { resource: { 'service.name': 'the agent' }, version: '1' }
const body = encodeSpans(SENDER, [span, { ...span, id: Buffer.alloc(8) }])

test('the place, name, times and a few attributes of a span are read, and one without ids is rejected', () => {
  const { items, rejected } = readProtobuf(body)
  expect({ items, rejected }).toEqual({ items: [read], rejected: 1 })
})

test('JSON is read alike', () => {
  const sent = {
    ...{ traceId: read.trace_id.toUpperCase(), spanId: read.span_id, parentSpanId: read.parent_id, name: read.name },
    ...{ startTimeUnixNano: '1700000000000000000', endTimeUnixNano: 1_700_000_000_250_000_000, kind: 3 },
    attributes: [
      { key: 'gen_ai.request.model', value: { stringValue: 'gpt-4o' } },
      { key: 'http.response.status_code', value: { intValue: '429' } },
      { key: 'gen_ai.input.messages', value: { stringValue: 'the prompt-canary' } },
      { key: 'gen_ai.tool.name', value: { arrayValue: { values: [] } } },
    ],
    status: { code: 2, message: 'the error-canary' },
  }
  const traces = TRACES_JSON.parse({ resourceSpans: [{ scopeSpans: [{ spans: [sent, { ...sent, spanId: '0' }] }] }] })
  const { items, rejected } = readTraces(traces)
  expect({ items, rejected }).toEqual({ items: [read], rejected: 1 })
})

/** Expects the returned spans to be within bounds. */
function readWithinBounds(bytes: Uint8Array): void {
  const { items: spans, rejected } = readProtobuf(bytes)
  expect(spans.length + rejected).toBeLessThanOrEqual(1_000)
  for (const { name, attributes, trace_id } of spans) {
    expect(trace_id).toMatch(/^[0-9a-f]{32}$/)
    expect(name.length).toBeLessThanOrEqual(200)
    expect(Object.keys(attributes).length).toBeLessThanOrEqual(10)
  }
}

test('random bytes, and messages with changed, missing and added bytes, are read within bounds or refused', () => {
  readOddBytes(body, readWithinBounds)
})

test('too many spans, or parts without any, are refused', () => {
  const spans = Array.from({ length: 1_001 }, () => span)
  expect(() => readProtobuf(encodeSpans(SENDER, spans))).toThrow('at most 1000 spans')
  const empty = new PbfWriter()
  for (let n = 0; n <= 100_000; n++) empty.writeBytesField(1, new Uint8Array())
  expect(() => readProtobuf(empty.finish())).toThrow('at most 100000 parts')
})
