/** Telemetry that programs send to a panel with the token of their machine, on its way to the panel's collector. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { encodeSpans } from '../../src/otel/encode.ts'
import { type Collector, openCollector, valuesOf } from '../otel/collector.ts'
import { temporaryFile } from '../support/temporary-file.ts'
import { openTestPanel } from './open-panel.ts'

const PYTHON = resolve(import.meta.dirname, '../../.venv-test/bin/python')
const PROTOBUF = 'application/x-protobuf'
const DIRECT = { ca: undefined, httpsProxy: '', httpProxy: '', noProxy: '' }
const collectorOf = ({ url: endpoint }: Pick<Collector, 'url'>) => ({
  settings: { endpoint, headers: { authorization: 'Bearer of-the-collector' }, service_name: 'fleet' },
  network: DIRECT,
})

/** A panel with a machine for each of two organizations. */
async function openTenants(collector?: Pick<Collector, 'url'>, onNotice = (_: string): void => {}) {
  const more = collector ? { collector: collectorOf(collector) } : {}
  const panel = await openTestPanel({ database: temporaryFile('panel.db'), onNotice, ...more })
  const { credentials } = panel.fleet
  const joined = async (organization: string) => {
    const id = await panel.fleet.openOrganization(organization)
    const invitation = await credentials.invite(id, { team: null, user: null }, `of-${organization}`, 'ada')
    return { id, ...(await credentials.join((await credentials.identify(invitation))!, `of-${organization}`, '1')) }
  }
  return { ...panel, ours: await joined('ours'), theirs: await joined('theirs') }
}

/** One span whose message claims to be of another organization. */
const FORGED = encodeSpans(
  { resource: { 'iron_cage.organization': 'ours', 'service.instance.id': 'another' }, version: '1' },
  [
    {
      ...{
        traceId: Buffer.alloc(16, 1),
        id: Buffer.alloc(8, 2),
        parentId: undefined,
        kind: 'internal',
        error: undefined,
      },
      ...{ name: 'mail to ann@example.com', startMs: 1_700_000_000_000, endMs: 1_700_000_000_250 },
      attributes: { 'iron_cage.organization': 'ours', 'gen_ai.agent.id': 'a-1', 'gen_ai.tool.name': 'bob@example.com' },
    },
  ],
)

const send = (url: string, token: string, body: Uint8Array = FORGED, signal = 'traces', type = PROTOBUF) =>
  fetch(`${url}/v1/${signal}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': type },
    body: Buffer.from(body),
  })

/** The attributes of the resources of a kind of messages. */
async function resourcesOf(collector: Collector, kind: 'resourceSpans' | 'resourceMetrics') {
  const messages = (await collector.read()) as Record<string, { resource: { attributes: never[] } }[]>[]
  return messages.flatMap((message) => message[kind] ?? []).map(({ resource }) => valuesOf(resource.attributes))
}

test.each([
  { script: 'send.py', signal: 'traces', kind: 'resourceSpans' },
  { script: 'send_metrics.py', signal: 'metrics', kind: 'resourceMetrics' },
] as const)("the $signal of OpenTelemetry's SDK reach the collector as those of the machine, redacted", async (row) => {
  await using collector = await openCollector()
  const { url, ours } = await openTenants(collector)
  const python = spawn(PYTHON, [join(import.meta.dirname, '../otel', row.script), url, ours.token, 'gzip'])
  const [said, [code]] = await Promise.all([text(python.stderr), once(python, 'exit')])
  expect([code, said]).toEqual([0, ''])
  const own = (await resourcesOf(collector, row.kind)).filter((one) => one['service.instance.id'] === ours.runtimeId)
  expect(own.length).toBeGreaterThan(0)
  for (const resource of own) {
    expect(resource).toMatchObject({ 'iron_cage.organization': 'ours', 'iron_cage.runtime.name': 'of-ours' })
  }
  const sent = JSON.stringify(await collector.read())
  expect(sent).toContain({ traces: 'plan for ', metrics: 'iron_cage.claimed.claude_code.cost.usage' }[row.signal])
  expect(sent).not.toMatch(/canary|ann@|bob@/)
})

test('the owner of a message is the machine of its token, even if the message claims another, and no other token may send', async () => {
  await using collector = await openCollector()
  const { url, fleet, ours, theirs } = await openTenants(collector)
  expect((await send(url, theirs.token)).status).toBe(200)
  const [resource, ...others] = await resourcesOf(collector, 'resourceSpans')
  expect(others).toEqual([])
  expect(resource).toMatchObject({ 'iron_cage.organization': 'theirs', 'service.instance.id': theirs.runtimeId })
  const [span] = await collector.spans(1)
  expect(span!.attributes).toEqual({ 'gen_ai.tool.name': expect.not.stringContaining('bob@') })
  const refused = {
    admin: await fleet.credentials.createToken(ours.id, 'admin', 'ada', 'ada'),
    viewer: await fleet.credentials.createToken(ours.id, 'viewer', 'ada', 'ada'),
    invited: await fleet.credentials.invite(ours.id, { team: null, user: null }, 'x', 'ada'),
  }
  for (const signal of ['traces', 'metrics']) {
    for (const [role, token] of Object.entries({ ...refused, nobody: 'ic_none' })) {
      const answer = await send(url, token, FORGED, signal)
      expect([answer.status, answer.headers.get('content-type')], role).toEqual([
        role === 'nobody' ? 401 : 403,
        PROTOBUF,
      ])
    }
  }
  await fleet.revoke(theirs.id, theirs.runtimeId, 'ada')
  const revoked = await send(url, theirs.token, Buffer.from('{"resourceSpans":[]}'), 'traces', 'application/json')
  expect(revoked.status).toBe(403)
  expect(await revoked.json()).toMatchObject({ error: { code: 'runtime_revoked' } })
  expect(collector.messages.filter(({ signal }) => signal === 'traces')).toHaveLength(1)
  // The others are the panel's own gauges.
  const metrics = await resourcesOf(collector, 'resourceMetrics')
  expect(metrics.filter((one) => one['iron_cage.runtime.name'] !== undefined)).toEqual([])
})

test('a panel without a collector refuses telemetry in the content type of the request', async () => {
  const { url, ours } = await openTenants()
  for (const signal of ['traces', 'metrics']) {
    const answer = await send(url, ours.token, FORGED, signal)
    expect([answer.status, answer.headers.get('content-type')]).toEqual([404, PROTOBUF])
    expect(await answer.text()).toContain('this Control Panel has no collector of OpenTelemetry; start it with')
    const json = await send(url, ours.token, Buffer.from('{}'), signal, 'application/json')
    expect([json.status, await json.json()]).toMatchObject([404, { error: { code: 'not_found' } }])
  }
})

test('telemetry that the collector did not accept is refused for a retry; unsupported metrics are refused for good', async () => {
  const gone = await openCollector()
  const port = Number(new URL(gone.url).port)
  await gone[Symbol.asyncDispose]()
  const { url, ours } = await openTenants(gone)
  const refused = await send(url, ours.token)
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1'])
  expect(refused.headers.get('content-type')).toBe(PROTOBUF)
  await using collector = await openCollector(port)
  expect((await send(url, ours.token)).status).toBe(200)
  expect(await collector.spans(1)).toHaveLength(1)
  collector.status['/v1/metrics'] = 405
  const counter = {
    name: 'jobs',
    sum: { aggregationTemporality: 1, dataPoints: [{ timeUnixNano: '1000000', asInt: '1' }] },
  }
  const metrics = Buffer.from(JSON.stringify({ resourceMetrics: [{ scopeMetrics: [{ metrics: [counter] }] }] }))
  expect((await send(url, ours.token, metrics, 'metrics', 'application/json')).status).toBe(404)
})

test('a collector that does not answer has two messages of a machine; a third is refused, others and money pass', async () => {
  await using collector = await openCollector()
  const { url, ours, theirs } = await openTenants(collector)
  const waiting: Promise<Response>[] = []
  const release: (() => void)[] = []
  for (const _ of [1, 2]) {
    const held = collector.hold()
    waiting.push(send(url, ours.token))
    release.push((await held).release)
  }
  const third = await send(url, ours.token)
  expect([third.status, third.headers.get('retry-after')]).toEqual([429, '1'])
  expect((await send(url, theirs.token)).status).toBe(200)
  const opened = await fetch(`${url}/api/leases/open`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ours.token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ journal_id: 'one' }),
  })
  expect(opened.status).toBe(200)
  for (const let_go of release) let_go()
  for (const answer of await Promise.all(waiting)) expect(answer.status).toBe(200)
  expect((await send(url, ours.token)).status).toBe(200)
})
