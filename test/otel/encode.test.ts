import fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodeSpans } from '../../src/otel/encode.ts'
import type { Span } from '../../src/otel/span.ts'
import { decode, spansOf } from './collector.ts'

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const value = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.boolean(),
  fc.maxSafeInteger().map((int) => ({ int })),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((double) => ({ double })),
)
const span: fc.Arbitrary<Span> = fc.record({
  traceId: bytes(16),
  id: bytes(8),
  parentId: fc.option(bytes(8), { nil: undefined }),
  name: fc.string({ unit: 'binary' }),
  kind: fc.constantFrom('internal' as const, 'client' as const),
  startMs: fc.integer({ min: 0, max: 4_000_000_000_000 }),
  endMs: fc.integer({ min: 0, max: 4_000_000_000_000 }),
  attributes: fc.dictionary(fc.string({ minLength: 1 }), value),
  error: fc.option(fc.string({ unit: 'binary', minLength: 1 }), { nil: undefined }),
})

const plain = (item: Span['attributes'][string]): unknown =>
  typeof item === 'object' ? ('int' in item ? item.int : item.double) : item

test('OpenTelemetry decodes every encoded span to the same values', async () => {
  const spans = fc.sample(span, 500)
  const body = encodeSpans({ resource: { 'service.name': 'test' }, version: '1' }, spans)
  const read = spansOf(await decode([{ signal: 'traces', body }]))
  expect(read).toHaveLength(spans.length)
  for (const [index, { traceId, id, parentId, name, startMs, attributes, error }] of spans.entries()) {
    const { startTimeUnixNano, ...found } = read[index]!
    expect(found).toMatchObject({
      traceId: Buffer.from(traceId).toString('hex'),
      spanId: Buffer.from(id).toString('hex'),
      attributes: Object.fromEntries(Object.entries(attributes).map(([key, item]) => [key, plain(item)])),
    })
    expect(found.name ?? '').toBe(name)
    expect(found.parentSpanId).toBe(parentId && Buffer.from(parentId).toString('hex'))
    expect(found.status?.message).toBe(error)
    expect(Math.round(Number(startTimeUnixNano ?? 0) / 1_000_000)).toBe(startMs)
  }
})
