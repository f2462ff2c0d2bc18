/** Telemetry that agents send about their own work with OpenTelemetry. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { openTestRuntime, until } from '../support/runtime.ts'

const PROTOBUF = 'application/x-protobuf'
const ROOT = resolve(import.meta.dirname, '../..')

test.each(['gzip', 'none'])(
  "the exporter of OpenTelemetry's SDK is understood, with compression %s, and only allowed attributes are kept",
  async (compression) => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    const words = [join(import.meta.dirname, '../otel/send.py'), cage.url, agent.token, compression]
    const python = spawn(join(ROOT, '.venv-test/bin/python'), words)
    const [said, [code]] = await Promise.all([text(python.stderr), once(python, 'exit')])
    expect([code, said]).toEqual([0, ''])
    await until(() => cage.of('agent.traced').length === 2, 'both spans are recorded')
    const [search, plan] = cage.of('agent.traced')
    expect(search).toMatchObject({
      agent_id: agent.id,
      data: {
        name: 'search',
        trace_id: plan!.data.trace_id,
        parent_id: plan!.data.span_id,
        attributes: { 'gen_ai.tool.name': 'search' },
      },
    })
    expect(plan!.data).toMatchObject({ parent_id: null, attributes: { 'gen_ai.operation.name': 'invoke_agent' } })
    expect(JSON.stringify(cage.events)).not.toMatch(/canary|ann@example/)
    expect(cage.of('pii.found')).toHaveLength(1)
  },
)

test('a span that states a cost is shown with it as a claim, and nothing is booked', async () => {
  const cage = await openTestRuntime()
  const agent = cage.addAgent()
  const span = {
    traceId: '01'.repeat(16),
    spanId: '02'.repeat(8),
    name: 'chat',
    startTimeUnixNano: '1',
    endTimeUnixNano: '2',
  }
  const attributes = [
    { key: 'gen_ai.usage.cost', value: { doubleValue: 0.5 } },
    { key: 'gen_ai.usage.input_tokens', value: { intValue: '9' } },
  ]
  const answered = await fetch(`${cage.url}/v1/traces`, {
    method: 'POST',
    headers: { authorization: `Bearer ${agent.token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: [{ ...span, attributes }] }] }] }),
  })
  expect(answered.status).toBe(200)
  expect(cage.of('agent.traced')).toMatchObject([{ message: 'traced: chat · claims $0.5' }])
  expect(cage.of('agent.traced')[0]!.data.attributes).toEqual({ 'iron_cage.claimed.cost_usd': 0.5 })
  expect(agent.balance()).toMatchObject({ spent: '0', held: '0' })
})

test('only an agent sends traces, as JSON or protobuf, of 4 MiB at most when inflated, and is answered in the type of its request', async () => {
  const cage = await openTestRuntime()
  const { token } = cage.addAgent()
  const send = async (body: Uint8Array, type = PROTOBUF, encoding = 'gzip', as = token) => {
    const headers = { authorization: `Bearer ${as}`, 'content-type': type, 'content-encoding': encoding }
    const answer = await fetch(`${cage.url}/v1/traces`, { method: 'POST', headers, body: Buffer.from(body) })
    const text = await answer.text()
    const answered = answer.headers.get('content-type')
    if (type === PROTOBUF) expect(answered).toBe(PROTOBUF)
    return { status: answer.status, text, type: answered }
  }
  const { access_token } = await cage.login()
  const empty = gzipSync(Buffer.alloc(0))
  expect(await send(empty)).toMatchObject({ status: 200, text: '' })
  expect((await send(empty, undefined, undefined, access_token)).status).toBe(403)
  expect((await send(empty, undefined, undefined, 'ic_none')).status).toBe(401)
  expect((await send(empty, 'text/plain')).status).toBe(400)
  expect((await send(empty, undefined, 'br')).status).toBe(400)
  const refused = await send(Buffer.from('no gzip'))
  expect(refused.status).toBe(400)
  // A google.rpc.Status with its second field, a text.
  expect(refused.text.slice(0, 1)).toBe('\u0012')
  expect(refused.text).toContain('the body is not gzip')
  expect((await send(gzipSync(Buffer.alloc(4 * 1024 * 1024 + 1)))).status).toBe(413)
  const json = await send(gzipSync('{"resourceSpans":[]}'), 'application/json; charset=utf-8')
  expect([json.status, json.text]).toEqual([200, '{}'])
  const wrong = await send(gzipSync('{"resourceSpans":1}'), 'application/json')
  expect([wrong.status, JSON.parse(wrong.text).error.code]).toEqual([400, 'bad_request'])
})
