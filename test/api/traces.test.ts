/** The traces that agents send of their own work. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { openTestRuntime, until } from '../support/runtime.ts'

const ROOT = resolve(import.meta.dirname, '../..')

test.each(['gzip', 'none'])(
  "the exporter of OpenTelemetry's SDK is understood, with compression %s, and only what is allowed is kept",
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

test('only an agent sends traces, as JSON or protobuf, of 4 MiB at most when inflated', async () => {
  const cage = await openTestRuntime()
  const { token } = cage.addAgent()
  const send = (body: Uint8Array, type = 'application/x-protobuf', encoding = 'gzip', as = token) =>
    fetch(`${cage.url}/v1/traces`, {
      method: 'POST',
      headers: { authorization: `Bearer ${as}`, 'content-type': type, 'content-encoding': encoding },
      body: Buffer.from(body),
    })
  const { access_token } = await cage.login()
  const empty = gzipSync(Buffer.alloc(0))
  expect((await send(empty)).status).toBe(200)
  expect((await send(empty, undefined, undefined, access_token)).status).toBe(403)
  expect((await send(empty, undefined, undefined, 'ic_none')).status).toBe(401)
  expect((await send(empty, 'text/plain')).status).toBe(400)
  expect((await send(empty, undefined, 'br')).status).toBe(400)
  expect((await send(Buffer.from('no gzip'))).status).toBe(400)
  expect((await send(gzipSync(Buffer.alloc(4 * 1024 * 1024 + 1)))).status).toBe(413)
  const json = await send(gzipSync('{"resourceSpans":[]}'), 'application/json; charset=utf-8')
  expect([json.status, await json.json()]).toEqual([200, {}])
})
