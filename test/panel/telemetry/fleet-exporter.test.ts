/** Traces of all machines, sent by whichever process of the panel is there. */
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../../src/core/clock.ts'
import type { EventOf, RuntimeEvent } from '../../../src/core/events.ts'
import { toRunId } from '../../../src/core/ids.ts'
import { usd } from '../../../src/core/money.ts'
import { telemetryNameOf } from '../../../src/dialects/known-providers.ts'
import { Tracer } from '../../../src/otel/tracer.ts'
import { grantLease, openRuntime } from '../../../src/panel/bank/bank.ts'
import { Fleet } from '../../../src/panel/bank/budgets.ts'
import type { PanelDatabase } from '../../../src/panel/db/database.ts'
import { openPanelDatabase } from '../../../src/panel/db/open.ts'
import { TelemetryStore } from '../../../src/panel/telemetry/telemetry-store.ts'
import { type Collector, openCollector, type ReadSpan, valuesOf } from '../../otel/collector.ts'
import { dollars } from '../../support/money.ts'
import { temporaryFile } from '../../support/temporary-file.ts'
import { AGENT } from '../machine.ts'
import { ANY_AGE, openTestPanel } from '../open-panel.ts'
import { type Cluster, startCluster } from '../postgres.ts'

const PROGRAM = resolve(import.meta.dirname, '../../../bin/iron-cage.cjs')
const DIRECT = { ca: undefined, httpsProxy: '', httpProxy: '', noProxy: '' }

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster?.remove())

const ADDRESSES = {
  'an SQLite file': async () => temporaryFile('panel.db'),
  PostgreSQL: () => cluster.newDatabase(),
}

/** Events of one run in order: its start, so many calls, and its end. */
function runOf(name: string, calls: number): RuntimeEvent[] {
  const at = (n: number) => new Date(Date.UTC(2026, 0, 2) + n * 1_000).toISOString()
  const common = { agent_id: AGENT, level: 'INFO', message: 'x' } as const
  const run_id = toRunId(`run-${name}`)
  const start = { run_id, name, pid: 1, restart: 0, tags: { customer: 'acme' } }
  const call = (n: number) => ({
    ...{ call_id: `call-${name}-${n}`, provider: 'openai', model: 'gpt-4o', stream: false, status: 200 },
    ...{ input_tokens: 3, cached_input_tokens: 0, output_tokens: 2, cost_usd: usd('0.01'), estimated: false },
    ...{ latency_ms: 7, first_byte_ms: null, redactions: 0, baseline_usd: null },
  })
  const exit = { run_id, exit_code: 0, signal: null, state: 'completed', reason: 'done', restart_in_ms: null }
  return [
    { ...common, seq: 1, at: at(1), type: 'agent.started', data: start },
    ...Array.from({ length: calls }, (_, n) => {
      return { ...common, seq: n + 2, at: at(n + 2), type: 'call.completed', data: call(n) }
    }),
    { ...common, seq: calls + 2, at: at(calls + 2), type: 'agent.exited', data: exit },
  ] as unknown as RuntimeEvent[]
}

const [TRACE, SPAN] = ['4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa0ba902b7']

/** A span of the agent's own, with an attribute that no runtime stores. */
const tracedEvent = (change: object = {}) => ({
  ...{ agent_id: AGENT, level: 'DEBUG', type: 'agent.traced', message: 'traced: plan' },
  data: {
    ...{ trace_id: TRACE, span_id: SPAN, parent_id: null, name: 'plan', failed: true },
    ...{ started_at: '2026-01-02T00:00:01.000Z', ended_at: '2026-01-02T00:00:02.000Z' },
    attributes: { 'gen_ai.tool.name': 'search', 'http.response.status_code': 500, 'gen_ai.prompt': 'canary' },
    ...change,
  },
})

/** A value that the agent measured, likewise. */
const measuredEvent = (change: object = {}) => ({
  ...{ agent_id: AGENT, level: 'DEBUG', type: 'agent.measured', message: 'measured: agent.cost 0.5' },
  data: {
    ...{ name: 'agent.cost', unit: '', kind: 'sum', cumulative: false, monotonic: true, value: 0.5 },
    ...{ started_at: '2026-01-02T00:00:01.000Z', measured_at: '2026-01-02T00:00:02.000Z', bounds: [], counts: [] },
    attributes: { 'gen_ai.prompt': 'canary', model: 'sonnet' },
    ...change,
  },
})

/** Machine, name, value and agent of each sum that the collector has. */
async function measuredBy(collector: Collector): Promise<unknown[]> {
  type Sum = { name: string; sum?: { dataPoints: { asDouble: number; attributes: never[] }[] } }
  type Wire = { resource: { attributes: never[] }; scopeMetrics: { metrics: Sum[] }[] }
  return ((await collector.read()) as { resourceMetrics?: Wire[] }[])
    .flatMap(({ resourceMetrics = [] }) => resourceMetrics)
    .flatMap(({ resource, scopeMetrics }) =>
      scopeMetrics[0]!.metrics.flatMap(({ name, sum }) =>
        (sum?.dataPoints ?? []).map(({ asDouble, attributes }) => {
          const agent = valuesOf(attributes)['gen_ai.agent.id']
          return [valuesOf(resource.attributes)['service.instance.id'], name, asDouble, agent]
        }),
      ),
    )
}

/** Ids of the spans that a runtime itself would send. */
function idsOf(events: readonly RuntimeEvent[]): string[] {
  const tracer = new Tracer({ findAgent: () => undefined, providerName: telemetryNameOf })
  return events
    .flatMap((event) => tracer.spansOf(event))
    .map(({ traceId, id }) => `${Buffer.from(traceId).toString('hex')} ${Buffer.from(id).toString('hex')}`)
}

const idOf = ({ traceId, spanId }: ReadSpan): string => `${traceId} ${spanId}`
const collectorOf = ({ url: endpoint }: Collector) => ({
  settings: { endpoint, headers: {}, service_name: 'fleet' },
  network: DIRECT,
})

/** A runtime that only the panel knows, and its reports of one ledger after another. */
async function joinOnly(
  { fleet: { credentials }, organizationId, store }: { fleet: Fleet; organizationId: string; store: TelemetryStore },
  name = 'laptop',
) {
  const invitation = await credentials.invite(organizationId, { team: null, user: null }, name, 'ada')
  const { runtimeId } = await credentials.join((await credentials.identify(invitation))!, name, '1')
  const report = async (events: readonly RuntimeEvent[], journal_id = 'one') => {
    const [after, through] = [events[0]!.seq - 1, events.at(-1)!.seq]
    const batch = { journal_id, after, through, lost: null, events: [...events] }
    expect(await store.take(organizationId, runtimeId, batch)).toEqual({ acked_seq: through })
  }
  return { runtimeId, report }
}

/** A panel in this process with a collector, and a runtime of it. */
async function openExporting(database: string, collector: Collector, onNotice = (_: string): void => {}) {
  const panel = await openTestPanel({ database, collector: collectorOf(collector), onNotice })
  const { store } = panel.telemetry
  return { ...panel, store, ...(await joinOnly({ ...panel, store })) }
}

interface ReadMetrics {
  resource: Record<string, unknown>
  /** Names with attributes, and values. */
  values: Map<string, number>
}

/** Gauges by message. */
async function gaugesOf(collector: Collector): Promise<ReadMetrics[]> {
  type Points = { gauge: { dataPoints: { asDouble: number; timeUnixNano: string; attributes: never[] }[] } }
  type Wire = {
    resource: { attributes: never[] }
    scopeMetrics: { metrics: (Points & { name: string; unit: string })[] }[]
  }
  const messages = (await collector.read()) as { resourceMetrics?: Wire[] }[]
  return messages.flatMap(({ resourceMetrics = [] }) =>
    resourceMetrics.map(({ resource, scopeMetrics }) => {
      const values = scopeMetrics[0]!.metrics.flatMap(({ name, unit, gauge }) =>
        gauge.dataPoints.map(({ asDouble, timeUnixNano, attributes }): [string, number] => {
          expect(Math.abs(Number(BigInt(timeUnixNano) / 1_000_000n) - systemClock.now())).toBeLessThan(600_000)
          return [`${name} ${unit} ${Object.values(valuesOf(attributes))}`, asDouble]
        }),
      )
      return { resource: valuesOf(resource.attributes), values: new Map(values) }
    }),
  )
}

async function openDatabase(address: string): Promise<PanelDatabase> {
  const database = await openPanelDatabase(address)
  onTestFinished(() => database.close())
  return database
}

test('two processes: one is killed while it sends, the other goes on, no span is lost, and one sent twice has the same ids', async () => {
  await using collector = await openCollector()
  const address = await cluster.newDatabase()
  const database = await openDatabase(address)
  const fleet = new Fleet(database)
  const parts = { fleet, store: new TelemetryStore(database), organizationId: await fleet.openOrganization('acme') }
  const [laptop, server] = [await joinOnly(parts, 'laptop'), await joinOnly(parts, 'server')]
  const [long, short] = [runOf('long', 300), runOf('short', 20)]
  const processes = new Map(await Promise.all(['one', 'two'].map((name) => startProcess(address, collector, name))))
  await laptop.report(long.slice(0, 100))
  await untilSent(collector, idsOf(long.slice(0, 100)))
  const arrived = collector.hold()
  await laptop.report(long.slice(100, 200))
  await server.report(short)
  const { headers, release } = await arrived
  const first = String(headers['x-process'])
  processes.get(first)!.kill('SIGKILL')
  release()
  const before = collector.messages.length
  await laptop.report(long.slice(200))
  const expected = [...idsOf(long), ...idsOf(short)]
  const sent = await untilSent(collector, expected)
  expect(new Set(sent.map(idOf))).toEqual(new Set(expected))
  // The collector had spans of which the first one has no record.
  expect(sent.length).toBeGreaterThan(expected.length)
  for (const span of sent) expect(sent.find((other) => idOf(other) === idOf(span))).toEqual(span)
  // Also those of a run whose start another process has sent.
  expect(new Set(sent.map(({ attributes }) => attributes['gen_ai.agent.name']))).toEqual(new Set(['long', 'short']))
  const senders = collector.messages.slice(before).map(({ headers: { 'x-process': name } }) => name)
  expect(new Set(senders)).toEqual(new Set([first === 'one' ? 'two' : 'one']))
})

/** A panel as the page on production starts it. Resolves when it serves. */
async function startProcess(address: string, collector: Collector, name: string): Promise<[string, ChildProcess]> {
  const page = readFileSync(resolve(import.meta.dirname, '../../../docs/production.md'), 'utf8')
  const [, variable] = /<!-- run: traces -->\n```sh\n(\w+)=http:\/\/localhost:4318 iron-cage panel\n/.exec(page)!
  const child = spawn(process.execPath, [PROGRAM, 'panel', '--database', address, '--port', '0'], {
    cwd: join(temporaryFile(), '..'),
    env: {
      PATH: process.env.PATH,
      [variable!]: collector.url,
      OTEL_EXPORTER_OTLP_HEADERS: `x-process=${name}`,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  for await (const line of createInterface(child.stdout!)) {
    if (line.includes('Telemetry')) expect(line).toContain(`traces and metrics to ${collector.url}`)
    if (line.includes('IRON_CAGE_URL')) return [name, child]
  }
  throw new Error('the panel did not start')
}

/** Everything that the collector has, once these spans are there. */
async function untilSent(collector: Collector, ids: readonly string[]): Promise<ReadSpan[]> {
  let spans: ReadSpan[] = []
  const missing = async () => {
    spans = await collector.spans(0)
    const there = new Set(spans.map(idOf))
    return ids.filter((id) => !there.has(id))
  }
  await expect.poll(missing, { interval: 300 }).toEqual([])
  return spans
}

test('one process of a panel at a time holds an exclusive job, and the next takes it as soon as that one ends', async () => {
  const address = await cluster.newDatabase()
  const [one, other] = [await openDatabase(address), await openDatabase(address)]
  const tryOther = () => other.exclusively('export', async () => 'mine')
  const first = await one.exclusively('export', async (sql) => {
    await sql.rows('SELECT 1')
    return tryOther()
  })
  expect(first).toBeUndefined()
  expect(await tryOther()).toBe('mine')
  const failed = one.exclusively('export', async () => {
    throw new Error('no')
  })
  await expect(failed).rejects.toThrow('no')
  await expect.poll(tryOther).toBe('mine')
})

test('each minute one process sends the gauges of every organization, as each process serves them to Prometheus', async () => {
  await using collector = await openCollector()
  const address = await cluster.newDatabase()
  const database = await openDatabase(address)
  const fleet = new Fleet(database)
  const [ours, theirs] = [await fleet.openOrganization('ours'), await fleet.openOrganization('theirs')]
  for (const [id, limit] of [
    [ours, '5'],
    [theirs, '7.25'],
  ] as const) {
    await fleet.setLimit(id, { scope: 'organization', name: null }, { limit: dollars(limit) }, 'ada')
  }
  const { runtimeId } = await joinOnly({ fleet, organizationId: ours, store: new TelemetryStore(database) })
  const { epoch } = await fleet.bank.run({ runtimeId, allLeases: true }, (books) =>
    openRuntime(books, runtimeId, { journalId: 'one', epoch: 0 }, 600_000),
  )
  const asked = { epoch, request: 0, least: dollars('1'), want: dollars('1'), agent: null, token: null }
  await fleet.bank.run({ runtimeId }, (books) => grantLease(books, runtimeId, asked, 600_000))
  const sent = () => collector.messages.filter(({ signal }) => signal === 'metrics').length

  const options = { database: address, collector: collectorOf(collector) }
  const panels = [await openTestPanel(options)]
  const { length: organizations } = await fleet.organizations()
  await expect.poll(sent).toBe(organizations)
  panels.push(await openTestPanel(options))
  // As if a minute had passed.
  await database.system.rows("UPDATE panel_meta SET value = '7' WHERE key = 'otel.metrics_at'")
  panels.push(await openTestPanel(options))
  await expect.poll(sent).toBe(2 * organizations)
  const read = await gaugesOf(collector)
  for (const [id, organization] of [
    [ours, 'ours'],
    [theirs, 'theirs'],
  ] as const) {
    const own = read.filter(({ resource }) => resource['service.instance.id'] === id)
    expect(own.map(({ resource }) => resource['iron_cage.organization'])).toEqual([organization, organization])
    const token = await fleet.credentials.createToken(id, 'viewer', 'prometheus', 'ada')
    for (const { url } of panels) {
      const answer = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${token}` } })
      const lines = (await answer.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'))
      const served = lines
        .map((line) => /^(\w+)\{(.*)\} (.+)$/.exec(line)!.slice(1))
        .map(([name, labels, value]) => {
          const plain = name!.replace(/_(usd|seconds)$/, '')
          return `${plain} ${[...labels!.matchAll(/"(.*?)"/g)].map(([, text]) => text)} ${value}`
        })
      const exported = [...own[1]!.values].map(([key, value]) => {
        const [name, , attributes] = key.split(' ')
        return `${name!.replaceAll('.', '_')} ${attributes} ${value}`
      })
      const withoutLag = (all: string[]) => all.filter((line) => !line.includes('_lag_')).sort()
      expect(withoutLag(served)).toEqual(withoutLag(exported))
    }
  }
  const amountOf = (organization: string, what: string) =>
    read.find(({ resource }) => resource['iron_cage.organization'] === organization)!.values.get(what)
  expect(amountOf('ours', 'iron_cage.shared_budget.lent USD ours,organization,ours')).toBe(1)
  expect(amountOf('ours', 'iron_cage.leases {lease} ours,active')).toBe(1)
  expect(amountOf('theirs', 'iron_cage.shared_budget.free USD theirs,organization,theirs')).toBe(7.25)
  for (const panel of panels) await panel.close()
  expect(sent()).toBe(2 * organizations)
})

test('a collector without support for metrics gets traces alone, with one notice from the panel', async () => {
  await using collector = await openCollector()
  collector.status['/v1/metrics'] = 405
  const notices: string[] = []
  const { report } = await openExporting(temporaryFile('panel.db'), collector, (text) => notices.push(text))
  await expect.poll(() => notices.join()).toContain('takes no metrics (405)')
  const events = runOf('leads', 1)
  await report(events)
  await untilSent(collector, idsOf(events))
  expect(notices.filter((text) => text.includes('takes no metrics'))).toHaveLength(1)
})

describe.each(Object.entries(ADDRESSES))('a panel on %s', (_, addressOf) => {
  test('the panel exports the spans that a runtime would, each once, with machine attributes, also for a restored ledger', async () => {
    await using collector = await openCollector()
    const { runtimeId, report } = await openExporting(await addressOf(), collector)
    const events = runOf('leads', 5)
    await report(events.slice(0, 4))
    await untilSent(collector, idsOf(events.slice(0, 4)))
    await report(events.slice(4, 6))
    // A backup from the time of the third call, and the events after it was restored.
    await report([...events.slice(0, 4), { ...events[6]!, seq: 5 }], 'restored')
    // The agent's own spans go the same way.
    const traced = { ...tracedEvent(), seq: 6, at: new Date(Date.UTC(2026, 0, 2, 1)).toISOString() } as RuntimeEvent
    await report([traced], 'restored')
    // So do its metrics.
    const measured = { ...measuredEvent(), seq: 7, at: traced.at } as RuntimeEvent
    await report([measured], 'restored')
    const spans = await untilSent(collector, idsOf([...events, traced]))
    await expect.poll(() => measuredBy(collector)).toEqual([[runtimeId, 'iron_cage.claimed.agent.cost', 0.5, AGENT]])
    expect(spans.map(idOf).sort()).toEqual(idsOf([...events, traced]).sort())
    const own = spans.find(({ name }) => name === 'plan')!
    expect(own).toMatchObject({
      ...{ traceId: TRACE, spanId: SPAN, status: { code: 'STATUS_CODE_ERROR' } },
      attributes: { 'gen_ai.tool.name': 'search', 'http.response.status_code': 500, 'gen_ai.agent.id': AGENT },
    })
    expect(JSON.stringify(own)).not.toContain('canary')
    const [{ attributes }] = (await collector.read()).flatMap(({ resourceSpans = [] }) =>
      Object(resourceSpans).map(({ resource }: { resource: object }) => resource),
    )
    expect(attributes).toContainEqual({ key: 'service.name', value: { stringValue: 'fleet' } })
    expect(attributes).toContainEqual({ key: 'service.instance.id', value: { stringValue: runtimeId } })
    expect(attributes).toContainEqual({ key: 'iron_cage.runtime.name', value: { stringValue: 'laptop' } })
  })

  test('the panel counts events deleted before its collector was reachable, and sends the rest', async () => {
    const events = runOf('leads', 6)
    await using collector = await openCollector()
    const port = Number(new URL(collector.url).port)
    await collector[Symbol.asyncDispose]()
    const notices: string[] = []
    const panel = await openExporting(await addressOf(), collector, (text) => notices.push(text))
    const { telemetry, store, organizationId, runtimeId, report } = panel
    await report(events.slice(0, 4))
    await expect.poll(() => notices.join()).toContain('cannot be reached for traces')
    const { snapshot } = (await telemetry.states(organizationId)).get(runtimeId)!
    const [cursor] = await store.cursors(organizationId)
    await store.keep(organizationId, cursor!, snapshot)
    for (const _ of [1, 2]) await store.prune(ANY_AGE)
    await report(events.slice(4))
    await using back = await openCollector(port)
    const spans = await untilSent(back, idsOf(events).slice(3))
    expect(spans).toHaveLength(4)
    await expect.poll(() => notices.join()).toContain('4 events were deleted before they could be sent')
    expect(notices.filter((text) => text.includes('were deleted'))).toHaveLength(1)
  })
})

test('malformed events of a runtime delay no other span, and only their well-formed parts are exported', async () => {
  await using collector = await openCollector()
  const { report } = await openExporting(temporaryFile('panel.db'), collector)
  const [start, call, next] = runOf('leads', 2) as [RuntimeEvent, EventOf<'call.completed'>, RuntimeEvent]
  const prompt = 'the prompt-canary'
  const odd: object[] = [
    { data: {} },
    { data: { ...call.data, call_id: 7 } },
    { at: 'yesterday' },
    { data: { ...call.data, latency_ms: '∞' } },
    { type: 'agent.exited', data: { run_id: {}, state: 3 } },
    { type: 'agent.output', data: { stream: 'stdout', text: prompt } },
    tracedEvent({ trace_id: 'ab' }),
    tracedEvent({ span_id: `${SPAN}00` }),
    tracedEvent({ parent_id: 7 }),
    tracedEvent({ attributes: null }),
    tracedEvent({ ended_at: '' }),
    measuredEvent({ value: '1' }),
    measuredEvent({ bounds: 3 }),
    measuredEvent({ kind: 'histogram', counts: [1, 2] }),
    measuredEvent({ measured_at: 'now' }),
    measuredEvent({ name: prompt.repeat(99) }),
    measuredEvent({ attributes: { model: { prompt } } }),
    {
      data: {
        ...{ ...call.data, call_id: 'call-odd', model: { prompt }, input_tokens: '9', cost_usd: 'much', status: 1e300 },
        ...{ prompt, messages: [{ role: 'user', content: prompt }], redactions: { int: 1 }, stream: 'x'.repeat(5_000) },
      },
    },
  ]
  const events = [start, ...odd.map((change) => ({ ...call, ...change })), next].map((event, index) => {
    return { ...event, seq: index + 1 } as RuntimeEvent
  })
  await report(events)
  const spans = await untilSent(collector, idsOf([start, next]))
  const found = spans.find(({ attributes }) => attributes['iron_cage.call.id'] === 'call-odd')!
  expect(Object.keys(found.attributes)).not.toContain('gen_ai.usage.input_tokens')
  expect(String(found.attributes['gen_ai.request.stream'])).toHaveLength(1_000)
  const sent = Buffer.concat(collector.messages.map(({ body }) => Buffer.from(body))).toString('latin1')
  expect(sent).not.toMatch(/canary|NaN/)
})
