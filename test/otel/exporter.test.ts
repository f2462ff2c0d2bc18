import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { answer, FakeProvider, resets, sends } from '../support/provider.ts'
import { openTestRuntime, type TestAgent, type TestRuntime, until } from '../support/runtime.ts'
import { decode, openCollector, type ReadSpan, valuesOf } from './collector.ts'

const settings = (endpoint: string) => ({ otel: { endpoint, headers: { authorization: 'Bearer of-the-collector' } } })

/** The supervisor's event for the end of a process. */
const exit = (cage: TestRuntime, agent: TestAgent, state: 'completed' | 'failed') =>
  cage.runtime.state.record({
    type: 'agent.exited',
    level: 'INFO',
    agent_id: agent.id,
    message: `worker ${state}`,
    data: { run_id: agent.runId, exit_code: 1, signal: null, state, reason: 'it crashed', restart_in_ms: null },
  })

test('a run is one trace: its calls and services are spans below it, with tokens, cost and errors', async () => {
  await using collector = await openCollector()
  const cage = await openTestRuntime({
    ...settings(collector.url),
    services: { crm: { base_url: 'http://127.0.0.1:9', cost_per_call_usd: '0.1', retries: 0 } },
  })
  const agent = cage.addAgent({ tags: { customer: 'acme' } })
  cage.provider.does(answer({ usage: { prompt_tokens: 10, completion_tokens: 3 } }))
  await agent.chat({ model: 'plain' })
  cage.provider.does(sends(500))
  await agent.chat({ model: 'plain' })
  await agent.chat({ model: 'a-model-without-a-price' })
  await agent.service('crm', '/leads')
  exit(cage, agent, 'failed')
  const [paid, failed, refused, service, run] = await collector.spans(5)
  expect(run).toMatchObject({
    name: 'invoke_agent worker',
    attributes: {
      'gen_ai.operation.name': 'invoke_agent',
      'gen_ai.agent.id': agent.id,
      'iron_cage.run.id': agent.runId,
      'iron_cage.tag.customer': 'acme',
      'iron_cage.agent.state': 'failed',
      'process.exit.code': 1,
    },
    status: { code: 'STATUS_CODE_ERROR', message: 'it crashed' },
  })
  expect(run!.parentSpanId).toBeUndefined()
  for (const span of [paid, failed, refused, service]) {
    expect(span).toMatchObject({ traceId: run!.traceId, parentSpanId: run!.spanId, kind: 'SPAN_KIND_CLIENT' })
  }
  const data = cage.of('call.completed')[0]!.data
  expect(paid).toMatchObject({
    name: 'chat plain',
    attributes: {
      'gen_ai.provider.name': 'openai',
      'gen_ai.request.model': 'plain',
      'gen_ai.usage.input_tokens': 10,
      'gen_ai.usage.output_tokens': 3,
      'gen_ai.usage.cost': 0.000055,
      'http.response.status_code': 200,
      'iron_cage.call.id': data.call_id,
    },
  })
  expect(paid!.status).toBeUndefined()
  const tookMs = (Number(paid!.endTimeUnixNano) - Number(paid!.startTimeUnixNano)) / 1_000_000
  expect(tookMs).toBeCloseTo(data.latency_ms, 2)
  expect(failed).toMatchObject({ name: 'chat plain', attributes: { 'error.type': 'provider_refused' } })
  expect(refused).toMatchObject({ name: 'chat a-model-without-a-price', attributes: { 'error.type': 'price_unknown' } })
  expect(service).toMatchObject({ name: 'execute_tool crm', attributes: { 'iron_cage.cost.usd': 0 } })
  expect([failed, refused, service].map((span) => span!.status?.code)).toEqual(Array(3).fill('STATUS_CODE_ERROR'))
  expect(collector.messages[0]!.headers).toMatchObject({ authorization: 'Bearer of-the-collector' })
})

/** The shape of a trace. */
const shapeOf = ({ name, spanId, parentSpanId, attributes, status }: ReadSpan) => ({
  ...{ name, spanId, parentSpanId, failed: status?.code === 'STATUS_CODE_ERROR' },
  status: attributes['http.response.status_code'],
  tokens: attributes['gen_ai.usage.input_tokens'],
})

/** Times are of whole milliseconds, and of two that each is rounded from. */
const ROUNDING_NS = 2_000_000n

/** Within the span of a parent, also in time. */
function expectWithin(parent: ReadSpan, spans: readonly ReadSpan[]): void {
  const [start, end] = [BigInt(parent.startTimeUnixNano), BigInt(parent.endTimeUnixNano)]
  for (const span of spans) {
    expect(span).toMatchObject({ traceId: parent.traceId, parentSpanId: parent.spanId })
    expect(BigInt(span.startTimeUnixNano)).toBeGreaterThanOrEqual(start - ROUNDING_NS)
    expect(BigInt(span.endTimeUnixNano)).toBeLessThanOrEqual(end + ROUNDING_NS)
  }
}

test('the requests of a call to a provider that refuses first are spans within that of the call, which has tokens and cost', async () => {
  await using collector = await openCollector()
  const cage = await openTestRuntime({ ...settings(collector.url), provider: { retries: 2 } })
  const agent = cage.addAgent()
  cage.provider.doesOnce(sends(500))
  cage.provider.doesOnce(sends(503))
  cage.provider.does(answer({ usage: { prompt_tokens: 10, completion_tokens: 3 } }))
  expect((await agent.chat({ model: 'plain' })).status).toBe(200)
  exit(cage, agent, 'completed')
  const [first, second, third, call, run] = (await collector.spans(5)) as [
    ReadSpan,
    ReadSpan,
    ReadSpan,
    ReadSpan,
    ReadSpan,
  ]
  expectWithin(call, [first, second, third])
  expect([first, second, third].map(shapeOf)).toMatchObject([
    { name: 'attempt chat plain', failed: true, status: 500, tokens: undefined },
    { name: 'attempt chat plain', failed: true, status: 503, tokens: undefined },
    { name: 'attempt chat plain', failed: false, status: 200, tokens: undefined },
  ])
  expect(shapeOf(call)).toMatchObject({ name: 'chat plain', parentSpanId: run.spanId, failed: false, tokens: 10 })
  expect(new Set([first, second, third, call].map(({ spanId }) => spanId)).size).toBe(4)
  expect(third.attributes).toMatchObject({ 'http.request.resend_count': 2 })
})

test('calls that are made again after a lost answer, or to another model, are spans within one of the request', async () => {
  await using collector = await openCollector()
  const fallback = [{ provider: 'openai', model: 'penny' }]
  const cage = await openTestRuntime({ ...settings(collector.url), others: { openai: { retries: 1, fallback } } })
  const agent = cage.addAgent()
  for (const _ of [1, 2]) cage.provider.doesOnce(sends(500))
  cage.provider.doesOnce(resets)
  expect((await agent.chat({ model: 'plain' })).status).toBe(200)
  exit(cage, agent, 'completed')
  const spans = await collector.spans(7)
  const [request] = spans.filter(({ name }) => name === 'request plain') as [ReadSpan]
  const calls = spans.filter(({ name }) => name.startsWith('chat '))
  expectWithin(request, calls)
  expect(calls.map(shapeOf)).toMatchObject([
    { name: 'chat plain', failed: true, status: 500 },
    { name: 'chat penny', failed: true, status: 502 },
    { name: 'chat penny', failed: false, status: 200 },
  ])
  expect(shapeOf(request)).toMatchObject({ failed: false, status: 200, tokens: undefined })
  expect(request).toMatchObject({ attributes: { 'iron_cage.calls': 3 }, parentSpanId: spans.at(-1)!.spanId })
  expect(cage.of('call.retried')).toMatchObject([{ data: { calls: 3, code: null, status: 200 } }])
})

test('the span of a request is also there if no budget pays for its further call', async () => {
  await using collector = await openCollector()
  const cage = await openTestRuntime({ ...settings(collector.url), provider: { retries: 1 } })
  const agent = cage.addAgent({ limit: '0.004' })
  cage.provider.does(resets)
  const [trace, parent] = ['4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa0ba902b7']
  expect((await agent.chat({}, { traceparent: `00-${trace}-${parent}-01` })).status).toBe(402)
  const [call, request] = (await collector.spans(2)) as [ReadSpan, ReadSpan]
  expectWithin(request, [call])
  expect(request).toMatchObject({ traceId: trace, parentSpanId: parent, name: 'request penny' })
  expect(request.attributes).toMatchObject({ 'error.type': 'budget_exceeded', 'iron_cage.calls': 1 })
})

test("the requests of a service call are spans within that of the call, which belongs to the client's trace", async () => {
  await using collector = await openCollector()
  await using crm = await FakeProvider.open()
  crm.doesOnce(sends(503))
  const cage = await openTestRuntime({
    ...settings(collector.url),
    services: { crm: { base_url: crm.url, cost_per_call_usd: '0.1', retries: 1 } },
  })
  const [trace, parent] = ['4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa0ba902b7']
  const headers = { traceparent: `00-${trace}-${parent}-01` }
  await cage.addAgent().send('services/crm', 'GET', '/leads', undefined, headers)
  const [first, second, call] = (await collector.spans(3)) as [ReadSpan, ReadSpan, ReadSpan]
  expectWithin(call, [first, second])
  expect([first, second, call].map(shapeOf)).toMatchObject([
    { name: 'attempt execute_tool crm', failed: true, status: 503 },
    { name: 'attempt execute_tool crm', failed: false, status: 200 },
    { name: 'execute_tool crm', failed: false, status: 200 },
  ])
  expect(call).toMatchObject({ traceId: trace, parentSpanId: parent, attributes: { 'iron_cage.cost.usd': 0.1 } })
})

test("a call with a traceparent belongs to the client's trace; without a valid one, to that of its run", async () => {
  await using collector = await openCollector()
  const cage = await openTestRuntime(settings(collector.url))
  const agent = cage.addAgent()
  const [trace, parent] = ['4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa0ba902b7']
  await agent.chat({}, { traceparent: `00-${trace}-${parent}-01` })
  for (const invalid of [`00-${trace}-${'0'.repeat(16)}-01`, `00-${'0'.repeat(32)}-${parent}-01`, 'nonsense']) {
    await agent.chat({}, { traceparent: invalid })
  }
  exit(cage, agent, 'completed')
  const [joined, ...others] = await collector.spans(5)
  expect(joined).toMatchObject({ traceId: trace, parentSpanId: parent })
  const run = others.pop()!
  for (const other of others) expect(other).toMatchObject({ traceId: run.traceId, parentSpanId: run.spanId })
})

test("an agent's own spans are forwarded with their ids, with the calls within them as their children", async () => {
  await using collector = await openCollector()
  const cage = await openTestRuntime(settings(collector.url))
  const agent = cage.addAgent()
  const [traceId, spanId] = ['4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa0ba902b7']
  const own = { traceId, spanId, name: 'plan for ann@example.com', startTimeUnixNano: '1', endTimeUnixNano: '2000000' }
  const attributes = ['gen_ai.tool.name', 'gen_ai.prompt'].map((key) => ({ key, value: { stringValue: key.slice(7) } }))
  const answered = await fetch(`${cage.url}/v1/traces`, {
    method: 'POST',
    headers: { authorization: `Bearer ${agent.token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: [{ ...own, attributes }] }] }] }),
  })
  expect(answered.status).toBe(200)
  await agent.chat({}, { traceparent: `00-${traceId}-${spanId}-01` })
  const [plan, call] = await collector.spans(2)
  expect(plan).toMatchObject({
    ...{ traceId, spanId, kind: 'SPAN_KIND_INTERNAL', endTimeUnixNano: '2000000' },
    attributes: { 'gen_ai.tool.name': 'tool.name', 'gen_ai.agent.id': agent.id, 'iron_cage.run.id': agent.runId },
  })
  expect(plan!.status).toBeUndefined()
  expect(call).toMatchObject({ traceId, parentSpanId: spanId })
  expect(JSON.stringify(plan)).not.toMatch(/prompt|ann@/)
})

test('nothing that a call says is sent, nor a name of a person in what is', async () => {
  await using collector = await openCollector()
  const cage = await openTestRuntime(settings(collector.url))
  const agent = cage.addAgent()
  cage.provider.does(answer({ text: 'the reply-canary writes to ann@example.com' }))
  await agent.chat({ messages: [{ role: 'user', content: 'the prompt-canary' }] })
  cage.provider.does(sends(400, {}, { error: 'canary' }))
  await agent.chat({ messages: [{ role: 'user', content: 'the prompt-canary' }] })
  await collector.spans(2)
  const sent = Buffer.concat(collector.messages.map(({ body }) => body)).toString('latin1')
  expect(sent).toContain('chat ')
  expect(sent).not.toMatch(/canary|ann@|of-the-collector/)
})

test('calls continue without a collector, and the next server exports each missed span once', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'otel-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const gone = await openCollector()
  const port = Number(new URL(gone.url).port)
  await gone[Symbol.asyncDispose]()
  const cage = await openTestRuntime({ ...settings(gone.url), folder, log: { level: 'info' } })
  const agent = cage.addAgent()
  expect((await agent.chat()).status).toBe(200)
  await until(() => cage.log().includes('cannot be reached'), 'the log says so')
  expect((await agent.chat()).status).toBe(200)
  exit(cage, agent, 'completed')
  await cage.close()

  await using collector = await openCollector(port)
  await openTestRuntime({ ...settings(collector.url), folder })
  const spans = await collector.spans(3)
  expect(spans.map(({ name }) => name)).toEqual(['chat penny', 'chat penny', 'invoke_agent worker'])
  expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(1)
})

test('a message that the collector refuses for good does not hold up the next', async () => {
  await using collector = await openCollector()
  collector.status['/v1/traces'] = 400
  const cage = await openTestRuntime({ ...settings(collector.url), log: { level: 'info' } })
  const agent = cage.addAgent()
  await agent.chat()
  await until(() => cage.log().includes('refused traces (400)'), 'the log says so')
  delete collector.status['/v1/traces']
  cage.provider.does(resets)
  await agent.chat()
  expect(await collector.spans(1)).toMatchObject([{ attributes: { 'error.type': 'provider_unreachable' } }])
})

test('tokens, durations and costs are metrics, sent at the end; a collector without metrics gets traces alone', async () => {
  await using collector = await openCollector()
  const cage = await openTestRuntime(settings(collector.url))
  const agent = cage.addAgent()
  cage.provider.does(answer({ usage: { prompt_tokens: 10, completion_tokens: 3 } }))
  await agent.chat({ model: 'plain' })
  await agent.chat({ model: 'plain' })
  await cage.close()
  const decoded = await decode(collector.messages.filter(({ signal }) => signal === 'metrics'))
  const { metrics } = Object(decoded.at(-1)).resourceMetrics[0].scopeMetrics[0]
  const points = (name: string) => {
    const { histogram, sum } = metrics.find((metric: { name: string }) => metric.name === name)
    const { dataPoints, aggregationTemporality } = histogram ?? sum
    expect(aggregationTemporality).toBe('AGGREGATION_TEMPORALITY_CUMULATIVE')
    return dataPoints.map((point: { attributes: never[] }) => ({ ...point, attributes: valuesOf(point.attributes) }))
  }
  const of = { 'gen_ai.provider.name': 'openai', 'gen_ai.request.model': 'plain' }
  expect(points('gen_ai.client.token.usage')).toMatchObject([
    { count: '2', sum: 20, attributes: { ...of, 'gen_ai.token.type': 'input' } },
    { count: '2', sum: 6, attributes: { ...of, 'gen_ai.token.type': 'output' } },
  ])
  expect(points('gen_ai.client.operation.duration')).toMatchObject([{ count: '2', attributes: of }])
  expect(points('iron_cage.cost')).toMatchObject([{ asDouble: 0.00011, attributes: of }])

  await using plain = await openCollector()
  plain.status['/v1/metrics'] = 405
  const other = await openTestRuntime({ ...settings(plain.url), log: { level: 'info' } })
  await other.addAgent().chat()
  await other.close()
  expect(other.log()).toContain('takes no metrics (405)')
  expect(plain.messages.map(({ signal }) => signal)).toEqual(['traces'])
})
