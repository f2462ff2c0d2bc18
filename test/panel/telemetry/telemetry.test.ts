/** Runtimes' reports about their agents; nothing on a panel has an effect on the agents. */
import { copyFileSync, cpSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../../src/core/clock.ts'
import { CageError } from '../../../src/core/errors.ts'
import type { NewEvent, RuntimeEvent } from '../../../src/core/events.ts'
import { newCallId, toAgentId, toRunId } from '../../../src/core/ids.ts'
import { usd } from '../../../src/core/money.ts'
import { Fleet } from '../../../src/panel/bank/budgets.ts'
import type { PanelDatabase, Sql } from '../../../src/panel/db/database.ts'
import { openPanelDatabase } from '../../../src/panel/db/open.ts'
import type { FleetSpending } from '../../../src/panel/fleet-view.ts'
import type { RunningPanel } from '../../../src/panel/server.ts'
import type { Dimension } from '../../../src/panel/telemetry/spending.ts'
import { PanelTelemetry } from '../../../src/panel/telemetry/telemetry.ts'
import { TelemetryStore } from '../../../src/panel/telemetry/telemetry-store.ts'
import { viewOf } from '../../../src/panel/views.ts'
import type { TelemetryBatch } from '../../../src/protocol/telemetry-messages.ts'
import { journalIdOf } from '../../../src/uplink/journal.ts'
import { readMembership } from '../../../src/uplink/membership.ts'
import { Telemetry } from '../../../src/uplink/telemetry.ts'
import { dollars } from '../../support/money.ts'
import { temporaryFile } from '../../support/temporary-file.ts'
import { AGENT, joinMachine, type Machine, openMachine } from '../machine.ts'
import { oddTexts, withoutOdd } from '../odd-texts.ts'
import { ANY_AGE, openTestPanel } from '../open-panel.ts'
import { type Cluster, startCluster } from '../postgres.ts'

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster?.remove())

async function openPanel(database = temporaryFile('panel.db'), allowedHosts: string[] = []): Promise<RunningPanel> {
  const panel = await openTestPanel({ database, allowedHosts })
  const organization = { scope: 'organization', name: null } as const
  await panel.fleet.setLimit(panel.organizationId, organization, { limit: dollars('100') }, 'ada')
  return panel
}

async function joined({ fleet, organizationId, url }: RunningPanel, through = url): Promise<Machine> {
  const path = temporaryFile()
  const invitation = await fleet.credentials.invite(organizationId, { team: null, user: null }, 'x', 'ada')
  await joinMachine(path, through, invitation)
  const machine = openMachine(path)
  onTestFinished(() => machine.close().catch(() => undefined))
  return machine
}

/** A runtime that only the panel knows. Returns its id. */
async function joinOnly({
  fleet: { credentials },
  organizationId,
}: Pick<RunningPanel, 'fleet' | 'organizationId'>): Promise<string> {
  const invitation = await credentials.invite(organizationId, { team: null, user: null }, 'x', 'ada')
  return (await credentials.join((await credentials.identify(invitation))!, 'x', '1')).runtimeId
}

const started: NewEvent = {
  type: 'agent.started',
  level: 'INFO',
  agent_id: AGENT,
  message: 'started',
  data: {
    run_id: toRunId('run-1'),
    name: 'leads',
    script: 'leads.py',
    environment: 'default',
    pid: 1,
    restart: 0,
    limit_usd: usd('5'),
    safety_mode: 'redact',
    detect: [],
  },
}

const progress = (done: number): NewEvent => ({
  type: 'progress.updated',
  level: 'INFO',
  agent_id: AGENT,
  message: 'on it',
  data: { done, total: 1_000, unit: 'leads', label: null },
})

const paid = (agentId: string, service: string, cost: string): NewEvent => ({
  type: 'service.called',
  level: 'INFO',
  agent_id: toAgentId(agentId),
  message: 'paid',
  data: {
    ...{ call_id: newCallId(), service, ok: true, status: 200, tier: 1, blocked: false, latency_ms: 1 },
    ...{ cost_usd: usd(cost), saved_usd: usd('0') },
  },
})

const view = async (panel: RunningPanel) => viewOf(panel, panel.organizationId)
const agents = async (panel: RunningPanel) => (await view(panel)).runtimes.flatMap((runtime) => runtime.agents)

describe.each([
  ['an SQLite file', async () => temporaryFile('panel.db')],
  ['PostgreSQL', () => cluster.newDatabase()],
] as const)('a panel on %s', (_, addressOf) => {
  test('the panel shows the agents of every machine as they are, also on another process of the panel', async () => {
    const address = await addressOf()
    const panel = await openPanel(address)
    const machines = [await joined(panel), await joined(panel)]
    for (const { state } of machines) state.record(started)
    const reports = Array.from({ length: 700 }, (_, n) => ({ event: progress(n + 1) }))
    machines[0]!.state.recordAll(reports)
    await machines[0]!.call('0.5', async () => dollars('0.25'))
    const doneOf = async () => (await agents(panel)).map(({ work }) => work?.done ?? null)
    await expect.poll(doneOf).toEqual([700, null])
    await expect
      .poll(async () => (await agents(panel))[0])
      .toMatchObject({
        name: 'leads',
        state: 'running',
        spent_usd: '0.25',
        limit_usd: '5',
      })
    machines[1]!.state.record(progress(3))
    await expect.poll(doneOf).toEqual([700, 3])
    if (!address.startsWith('postgres')) return
    expect(await agents(await openPanel(address))).toEqual(await agents(panel))
  })

  test('events are folded as they arrive, to the same state in any process, and none is read again', async () => {
    const database = await openPanelDatabase(await addressOf())
    onTestFinished(() => database.close())
    const fleet = new Fleet(database)
    const organization = await fleet.openOrganization('acme')
    const runtimeId = await joinOnly({ fleet, organizationId: organization })
    const processes = [new PanelTelemetry(database), new PanelTelemetry(database)]
    const any = () => processes[Math.floor(Math.random() * processes.length)]!
    const stateIn = async (telemetry: PanelTelemetry) => (await telemetry.states(organization)).get(runtimeId)?.snapshot
    const batchOf = (after: number, through: number): TelemetryBatch => {
      const events = Array.from({ length: through - after }, (_, n) => {
        const happened = after + n === 0 ? started : paid(AGENT, 'crm', '0.1')
        return { ...happened, seq: after + n + 1, at: '2026-01-02T03:04:05.000Z' } as RuntimeEvent
      })
      return { journal_id: 'j', after, through, lost: null, events }
    }
    let stored = 0
    for (let n = 0; n < 60; n++) {
      const after = Math.max(0, stored - Math.floor(Math.random() * 3))
      const through = after + 1 + Math.floor(Math.random() * 5)
      const taken = await any().take(organization, runtimeId, batchOf(after, through))
      stored = Math.max(stored, through)
      expect(taken).toEqual({ acked_seq: stored })
      if (Math.random() < 0.5) await stateIn(any())
    }
    const whole = await stateIn(new PanelTelemetry(database))
    expect(whole).toMatchObject({ seq: stored })
    for (const telemetry of processes) expect(await stateIn(telemetry)).toEqual(whole)
    const [telemetry] = processes as [PanelTelemetry]
    await telemetry.take(organization, runtimeId, batchOf(stored, stored + 5))
    await database.system.rows('DELETE FROM events')
    expect((await stateIn(telemetry))!.agents[AGENT]!.spent_usd).toBe(usd(String((stored + 4) / 10)))
  })

  test('an event sent twice is stored once, and the answer gives the next position and the number of lost events', async () => {
    const panel = await openPanel(await addressOf())
    const { fleet, organizationId: organization, telemetry } = panel
    const runtimeId = await joinOnly(panel)
    const event = (seq: number) => ({ ...progress(seq), seq, at: '2026-01-02T03:04:05.000Z' }) as RuntimeEvent
    const take = (
      after: number,
      through: number,
      lost: { from: number; to: number } | null = null,
      journal_id = 'one',
    ) => {
      const events = Array.from({ length: through - after }, (_, n) => event(after + 1 + n))
      return telemetry.store.take(organization, runtimeId, { journal_id, after, through, lost, events })
    }
    expect(await take(0, 0)).toEqual({ acked_seq: 0 })
    expect(await Promise.all([take(0, 3), take(0, 3), take(0, 3)])).toEqual(Array(3).fill({ acked_seq: 3 }))
    expect(await take(1, 5)).toEqual({ acked_seq: 5 })
    expect(await take(9, 12)).toEqual({ acked_seq: 5 })
    const cursor = { runtime_id: runtimeId, journal_id: 'one' }
    const stored = async () => (await telemetry.store.events(organization, cursor, 0, 100)).map(({ seq }) => seq)
    expect(await stored()).toEqual([1, 2, 3, 4, 5])
    const late = { journal_id: 'one', after: 5, through: 9, lost: { from: 6, to: 8 }, events: [event(9)] }
    expect(await telemetry.store.take(organization, runtimeId, late)).toEqual({ acked_seq: 9 })
    expect(await stored()).toEqual([1, 2, 3, 4, 5, 9])
    expect((await view(panel)).runtimes).toMatchObject([{ lost_events: 3 }])
    expect(await take(9, 12, null, 'another ledger')).toEqual({ acked_seq: 0 })
    await fleet.revoke(organization, runtimeId, 'ada')
    await expect(take(12, 13)).rejects.toMatchObject({ code: 'runtime_revoked' })
  })

  test('the panel goes on with a ledger that comes back after another one, and stores nothing of it twice', async () => {
    const panel = await openPanel(await addressOf())
    const { organizationId, telemetry } = panel
    const runtimeId = await joinOnly(panel)
    const take = (journal_id: string, after: number, through: number) => {
      const events = Array.from({ length: through - after }, (_, n) => {
        return {
          ...paid(AGENT, 'crm', '1'),
          seq: after + n + 1,
          at: `2026-01-02T03:04:0${after + n}.000Z`,
        } as RuntimeEvent
      })
      return telemetry.store.take(organizationId, runtimeId, { journal_id, after, through, lost: null, events })
    }
    expect(await take('one', 0, 3)).toEqual({ acked_seq: 3 })
    expect(await take('another', 0, 2)).toEqual({ acked_seq: 2 })
    expect(await take('one', 0, 3)).toEqual({ acked_seq: 3 })
    expect(await take('one', 2, 5)).toEqual({ acked_seq: 5 })
    expect(await take('another', 1, 3)).toEqual({ acked_seq: 3 })
    expect(await take('one', 5, 6)).toEqual({ acked_seq: 6 })
    const stored = async (journal_id: string) => {
      const place = { runtime_id: runtimeId, journal_id }
      return (await telemetry.store.events(organizationId, place, 0, 100)).map(({ seq }) => seq)
    }
    expect(await stored('one')).toEqual([1, 2, 3, 4, 5, 6])
    expect(await stored('another')).toEqual([1, 2, 3])
  })

  test('the panel has all reports of copies of one ledger that each joined for itself, and none from before', async () => {
    const panel = await openPanel(await addressOf())
    const { credentials } = panel.fleet
    const path = temporaryFile()
    const alone = openMachine(path)
    alone.state.record(paid(AGENT, 'crm', '9'))
    journalIdOf(alone.store)
    await alone.close()
    const paths = [path, temporaryFile()]
    copyFileSync(path, paths[1]!)
    for (const [n, each] of paths.entries()) {
      const invitation = await credentials.invite(panel.organizationId, { team: null, user: null }, 'x', 'ada')
      await joinMachine(each, panel.url, invitation)
      const machine = openMachine(each)
      for (let calls = 0; calls <= n; calls++) machine.state.record(paid(AGENT, 'crm', '1'))
      await machine.close()
    }
    const spent = await panel.telemetry.store.spending(panel.organizationId, '2000-01-01', 'model')
    expect(spent.map(({ calls, cost }) => [calls, cost])).toEqual([[3, 3_000_000_000n]])
    const cursors = await panel.telemetry.store.cursors(panel.organizationId)
    expect(new Set(cursors.map(({ journal_id }) => journal_id)).size).toBe(1)
    expect(cursors.map(({ lost }) => lost)).toEqual([0, 0])
  })

  test('the panel stores simultaneous reports of many runtimes, each its own, even if it refuses one of them', async () => {
    const panel = await openPanel(await addressOf())
    const { fleet, organizationId, telemetry } = panel
    const ids: string[] = []
    for (let n = 0; n < 20; n++) ids.push(await joinOnly(panel))
    await fleet.revoke(organizationId, ids[7]!, 'ada')
    const take = (runtimeId: string, after: number) => {
      const happened = after === 0 ? [started, progress(1)] : [progress(2), progress(3)]
      const at = '2026-01-02T03:04:05.000Z'
      const events = happened.map((event, n) => ({ ...event, seq: after + n + 1, at }) as RuntimeEvent)
      return telemetry.store.take(organizationId, runtimeId, {
        ...{ journal_id: `of ${runtimeId}`, after, through: after + 2, lost: null, events },
      })
    }
    // A time that cannot be stored.
    const odd = { ...progress(1), seq: 1, at: null } as unknown as RuntimeEvent
    const refused = { journal_id: 'odd', after: 0, through: 1, lost: null, events: [odd] }
    // Each one's second batch continues from its first.
    const well = ids.filter((_, n) => n !== 3 && n !== 7)
    const answers = await Promise.allSettled([
      ...well.map((id) => take(id, 0)),
      telemetry.store.take(organizationId, ids[3]!, refused),
      take(ids[7]!, 0),
      ...well.map((id) => take(id, 2)),
    ])
    expect(answers.splice(well.length, 2)).toEqual([
      { status: 'rejected', reason: expect.anything() },
      { status: 'rejected', reason: expect.objectContaining({ code: 'runtime_revoked' }) },
    ])
    const acked = [2, 4].flatMap((seq) => well.map(() => ({ status: 'fulfilled', value: { acked_seq: seq } })))
    expect(answers).toEqual(acked)
    for (const id of well) {
      const place = { runtime_id: id, journal_id: `of ${id}` }
      const stored = await telemetry.store.events(organizationId, place, 0, 10)
      expect(stored.map(({ seq }) => seq)).toEqual([1, 2, 3, 4])
    }
    expect((await agents(panel)).map(({ work }) => work?.done)).toEqual(well.map(() => 3))
  })

  test('the reports of many runtimes are added up in as many statements as the report of one', async () => {
    const address = await addressOf()
    const panel = await openPanel(address)
    const { organizationId: organization } = panel
    const ids: string[] = []
    for (let n = 0; n < 20; n++) ids.push(await joinOnly(panel))
    await panel.close()
    const database = await openPanelDatabase(address)
    onTestFinished(() => database.close())
    let statements = 0
    const counted = (sql: Sql): Sql => ({
      rows: (text, values) => {
        statements += 1
        return sql.rows(text, values)
      },
    })
    const within: PanelDatabase['within'] = (id, work) => database.within(id, (sql) => work(counted(sql)))
    const store = new TelemetryStore({ ...database, within })
    const take = async (runtimes: readonly string[], after: number) => {
      statements = 0
      const happened = [started, paid(AGENT, 'crm', '0.1'), paid(AGENT, 'mail', '0.2'), paid('a-unknown', 'crm', '0.3')]
      await Promise.all(
        runtimes.map((id) => {
          const at = '2026-01-02T03:04:05.000Z'
          const events = happened.map((event, n) => ({ ...event, seq: after + n + 1, at }) as RuntimeEvent)
          return store.take(organization, id, { journal_id: 'j', after, through: after + 4, lost: null, events })
        }),
      )
      return statements
    }
    await take(ids, 0)
    const [ofOne, ofOthers] = [await take(ids.slice(0, 1), 4), await take(ids.slice(1), 4)]
    expect(ofOthers).toBe(ofOne)
    const spent = async (by: Dimension) =>
      (await store.spending(organization, '2026-01-01', by)).map(({ name, calls, cost }) => [name, calls, cost])
    expect(await spent('model')).toEqual([
      ['crm', 80, 16_000_000_000n],
      ['mail', 40, 8_000_000_000n],
    ])
    expect(await spent('agent')).toEqual([
      ['', 40, 12_000_000_000n],
      ['leads', 80, 12_000_000_000n],
    ])
  })

  test('events with any text are stored', async () => {
    const panel = await openPanel(await addressOf())
    const { organizationId: organization, telemetry } = panel
    const machine = await joined(panel)
    const texts = oddTexts(100)
    for (const text of texts) {
      const data = { ...started.data, name: text, script: text } as typeof started.data
      machine.state.record({ ...started, agent_id: toAgentId(`a-${text}`), message: text, data })
      machine.state.record(paid(`a-${text}`, text, '1'))
    }
    machine.state.record({ ...started, message: 'the last one' })
    const starts = async () => {
      const [cursor] = await telemetry.store.cursors(organization)
      const events = cursor ? await telemetry.store.events(organization, cursor, 0, 1_000) : []
      return events.filter(({ type }) => type === 'agent.started').map(({ message }) => message)
    }
    await expect.poll(async () => (await starts()).at(-1)).toBe('the last one')
    expect(await starts()).toEqual([...texts.map(withoutOdd), 'the last one'])
    expect((await view(panel)).runtimes).toMatchObject([{ lost_events: 0 }])
    const spent = await telemetry.store.spending(organization, '2000-01-01', 'agent')
    expect(new Set(spent.map(({ name }) => name))).toEqual(new Set(texts.map(withoutOdd)))
  })

  test('an event that the database cannot store is reported as refused, leaves a gap, and delays no other', async () => {
    const address = await addressOf()
    const panel = await openPanel(address)
    const machine = await joined(panel)
    const { token } = readMembership(machine.store)!
    const event = (seq: number) => ({ ...progress(seq), seq, at: '2026-01-02T03:04:05.000Z' }) as RuntimeEvent
    const batch = { journal_id: 'twice', after: 0, through: 3, lost: null, events: [1, 2, 2, 3].map(event) }
    const answer = await fetch(`${panel.url}/api/telemetry`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(batch),
    })
    expect(answer.status).toBe(400)
    if (!address.startsWith('postgres')) return
    // One more than a BIGINT can count.
    machine.state.recordAll(Array.from({ length: 1_026 }, () => ({ event: paid(AGENT, 'crm', '9000000') })))
    machine.state.record({ ...started, message: 'the last one' })
    await expect
      .poll(async () => (await view(panel)).runtimes[0], { timeout: 20_000 })
      .toMatchObject({ lost_events: 2 })
    await expect.poll(() => agents(panel)).toMatchObject([{ name: 'leads' }])
  })

  test('costs are added up by day, model, team, user and machine, each call once, also for a restored ledger', async () => {
    const panel = await openPanel(await addressOf())
    const { fleet, organizationId, telemetry } = panel
    for (const scope of ['team', 'user'] as const) {
      await fleet.setLimit(organizationId, { scope, name: `${scope}-a` }, { limit: dollars('9') }, 'ada')
    }
    const joinAs = async (team: string | null, name: string) => {
      const invitation = await fleet.credentials.invite(organizationId, { team, user: team && 'user-a' }, 'x', 'ada')
      return (await fleet.credentials.join((await fleet.credentials.identify(invitation))!, name, '1')).runtimeId
    }
    const [laptop, server] = [await joinAs('team-a', 'laptop'), await joinAs(null, 'server')]
    const at = `${new Date().toISOString().slice(0, 10)}T00:00:0`
    const call = (seq: number, model: unknown, cost_usd: string) =>
      ({
        ...progress(0),
        seq,
        at: `${at}${seq}.000Z`,
        type: 'call.completed',
        data: { model, cost_usd },
      }) as unknown as RuntimeEvent
    const take = (runtimeId: string, journal_id: string, events: RuntimeEvent[]) =>
      telemetry.store.take(organizationId, runtimeId, {
        journal_id,
        after: 0,
        through: events.length,
        lost: null,
        events,
      })
    const first = [
      call(1, 'gpt-4o', '0.25'),
      call(2, 'gpt-4o', '0.5'),
      call(3, 'claude', '0.000000001'),
      call(4, 7, 'much'),
    ]
    first.push({ ...started, seq: 5, at: `${at}5.000Z` } as RuntimeEvent)
    await Promise.all([take(laptop, 'one', first), take(laptop, 'one', first)])
    await take(server, 'one', [call(1, 'claude', '1')])
    // A backup of the second call's time, and a call after it.
    await take(laptop, 'restored', [...first.slice(0, 2), { ...call(9, 'gpt-4o', '2'), seq: 3 }])
    const token = await fleet.credentials.createToken(organizationId, 'viewer', 'bob', 'ada')
    const by = async (dimension: string) => {
      const path = `${panel.url}/api/fleet/spending?days=2&by=${dimension}`
      const answer = await fetch(path, { headers: { authorization: `Bearer ${token}` } })
      const { days } = (await answer.json()) as { days: FleetSpending[] }
      expect(days).toHaveLength(2)
      return days.at(-1)!.parts.map(({ name, calls, cost_usd }) => [name, calls, cost_usd])
    }
    expect(await by('model')).toEqual([
      ['gpt-4o', 3, '2.75'],
      ['claude', 2, '1.000000001'],
    ])
    expect(await by('agent')).toEqual([
      ['leads', 4, '2.750000001'],
      ['', 1, '1'],
    ])
    expect(await by('team')).toEqual([
      ['team-a', 4, '2.750000001'],
      ['', 1, '1'],
    ])
    expect(await by('user')).toEqual([
      ['user-a', 4, '2.750000001'],
      ['', 1, '1'],
    ])
    expect(await by('machine')).toEqual([
      ['laptop', 4, '2.750000001'],
      ['server', 1, '1'],
    ])
  })

  test('the panel raises one alert for each agent and user whose spending of a day leaves its usual range', async () => {
    const panel = await openPanel(await addressOf())
    const { fleet, organizationId, telemetry, spendingAlerts } = panel
    await fleet.setLimit(organizationId, { scope: 'user', name: 'ada' }, { limit: dollars('9') }, 'ada')
    const invitation = await fleet.credentials.invite(organizationId, { team: null, user: 'ada' }, 'x', 'ada')
    const { runtimeId } = await fleet.credentials.join((await fleet.credentials.identify(invitation))!, 'x', '1')
    const now = Date.parse('2026-05-12T12:00:00Z')
    let seq = 0
    const take = async (...events: object[]) => {
      const sent = events.map((event) => ({ ...progress(0), ...event, seq: ++seq })) as unknown as RuntimeEvent[]
      const batch = { journal_id: 'one', after: seq - sent.length, through: seq, lost: null, events: sent }
      await telemetry.store.take(organizationId, runtimeId, batch)
    }
    const call = (daysAgo: number, cost_usd: string, agent_id: string = AGENT) => {
      const at = new Date(now - daysAgo * 86_400_000).toISOString()
      return { at, agent_id, type: 'call.completed', data: { model: 'gpt-4o', cost_usd } }
    }
    const at = new Date(now).toISOString()
    await take({ ...started, at }, { ...started, at, agent_id: 'b-1', data: { ...started.data, name: 'calm' } })
    for (let day = 7; day > 0; day--) await take(call(day, `1.0${day}`), call(day, '0.5', 'b-1'))
    expect(await spendingAlerts.look(organizationId, now)).toEqual([])
    await take(call(0, '1.1'), call(0, '0.5', 'b-1'))
    expect(await spendingAlerts.look(organizationId, now)).toEqual([])
    await take(call(0, '9'))
    const found = await Promise.all([
      spendingAlerts.look(organizationId, now),
      spendingAlerts.look(organizationId, now),
    ])
    expect(found.flat()).toEqual([
      'agent leads spent $10.10 on 2026-05-12; $1.04 a day is usual',
      'user ada spent $10.60 on 2026-05-12; $1.54 a day is usual',
    ])
    await take(call(0, '20'))
    expect(await spendingAlerts.look(organizationId, now)).toEqual([])
    const token = await fleet.credentials.createToken(organizationId, 'viewer', 'bob', 'ada')
    const headers = { authorization: `Bearer ${token}` }
    const answer = await fetch(`${panel.url}/api/fleet/spending/alerts`, { headers })
    const alert = { day: '2026-05-12', raised_at: expect.any(String) }
    expect(await answer.json()).toEqual({
      alerts: [
        { ...alert, scope: 'user', name: 'ada', spent_usd: '10.6', usual_usd: '1.54' },
        { ...alert, scope: 'agent', name: 'leads', spent_usd: '10.1', usual_usd: '1.04' },
      ],
    })
  })

  test('findings of every machine are listed for longer than their events are kept', async () => {
    const panel = await openPanel(await addressOf())
    const { fleet, organizationId, telemetry } = panel
    const runtimeId = await joinOnly(panel)
    const found = { pii_type: 'email', action: 'redact', place: 'reply', count: 2 }
    const events = [
      { ...started },
      { ...progress(0), type: 'pii.found', data: found },
      { ...progress(0), type: 'pii.found' },
    ]
    const sent = events.map((event, n) => ({ ...event, seq: n + 1, at: `2026-01-02T03:04:0${n}.000Z` }))
    const batch = { journal_id: 'one', after: 0, through: 3, lost: null, events: sent as unknown as RuntimeEvent[] }
    await telemetry.store.take(organizationId, runtimeId, batch)
    const token = await fleet.credentials.createToken(organizationId, 'viewer', 'bob', 'ada')
    const incidents = async () => {
      const answer = await fetch(`${panel.url}/api/fleet/incidents`, { headers: { authorization: `Bearer ${token}` } })
      return (await answer.json()) as object
    }
    const at = '2026-01-02T03:04:01.000Z'
    const incident = { at, machine: 'x', agent: 'leads', type: 'email', action: 'redact', place: 'reply', count: 2 }
    expect(await incidents()).toEqual({ incidents: [incident], next: null })
    const [cursor] = await telemetry.store.cursors(organizationId)
    const { snapshot } = (await telemetry.states(organizationId)).get(runtimeId)!
    await telemetry.store.keep(organizationId, cursor!, snapshot)
    await telemetry.store.prune({ ...ANY_AGE, incidentsMs: 60_000 })
    expect(await incidents()).toEqual({ incidents: [incident], next: null })
    await telemetry.store.prune(ANY_AGE)
    expect(await incidents()).toEqual({ incidents: [], next: null })
  })

  test('old events are deleted, and the state folded from them is kept', async () => {
    const panel = await openPanel(await addressOf())
    const machine = await joined(panel)
    machine.state.record(started)
    machine.state.record(progress(7))
    await expect.poll(async () => (await agents(panel))[0]?.work?.done).toBe(7)
    const before = await agents(panel)
    const { store } = panel.telemetry
    // Events that arrive meanwhile are in no kept state yet.
    const left = async () => {
      const [cursor] = await store.cursors(panel.organizationId)
      const { snapshot } = (await panel.telemetry.states(panel.organizationId)).get(cursor!.runtime_id)!
      await store.keep(panel.organizationId, cursor!, snapshot)
      await store.prune(ANY_AGE)
      return store.events(panel.organizationId, cursor!, 0, 10)
    }
    await expect.poll(left).toEqual([])
    expect(await agents(panel)).toEqual(before)
  })
})

test('an event that cannot be parsed, or does not match its schema, hides at most its own agent', async () => {
  const panel = await openPanel()
  const { organizationId, telemetry } = panel
  const runtimeId = await joinOnly(panel)
  const odd = { ...started, agent_id: 'odd', data: { ...started.data, name: { first: 'x' }, limit_usd: 'much' } }
  const happened = [
    started,
    odd,
    { ...progress(1), type: 'future.event' },
    { ...progress(1), type: 'call.completed', data: {} },
    progress(4),
  ].map((event, index) => ({ ...event, seq: index + 1, at: '2026-01-02T03:04:05.000Z' }) as unknown as RuntimeEvent)
  const batch = { journal_id: 'one', after: 0, through: happened.length, lost: null, events: happened }
  await telemetry.store.take(organizationId, runtimeId, batch)
  expect((await agents(panel)).map(({ id, work }) => [id, work?.done])).toEqual([[AGENT, 4]])
})

test('lines of output stay on the machine', async () => {
  const panel = await openPanel()
  const machine = await joined(panel)
  const text = 'the customer said hello'
  machine.state.record({
    type: 'agent.output',
    level: 'INFO',
    agent_id: AGENT,
    message: text,
    data: { stream: 'stdout', text },
  })
  machine.state.record(progress(1))
  machine.state.record(started)
  machine.state.record(progress(2))
  await expect.poll(async () => (await agents(panel))[0]?.work?.done).toBe(2)
  const [cursor] = await panel.telemetry.store.cursors(panel.organizationId)
  expect(JSON.stringify(await panel.telemetry.store.events(panel.organizationId, cursor!, 0, 100))).not.toContain(
    'hello',
  )
  expect(cursor!.lost).toBe(0)
})

test('an event that the panel refuses keeps back no other one, also right after events that were deleted unsent', async () => {
  const events = [7, 8, 9].map((seq) => ({ ...started, seq, at: '2026-01-02T03:04:05.000Z' }) as RuntimeEvent)
  const taken: Pick<TelemetryBatch, 'through' | 'lost'>[] = []
  let refused = 0
  const telemetry = new Telemetry({
    state: { findEvents: ({ after }) => events.filter(({ seq }) => seq > after!), subscribe: () => () => true },
    clock: systemClock,
    journalId: 'one',
    send: async ({ through, lost, events: sent }) => {
      if (sent.some(({ seq }) => seq === 7)) {
        if (++refused > 10) throw new CageError('panel_unreachable', 'again and again')
        throw new CageError('bad_request', 'no')
      }
      taken.push({ through, lost })
      return { acked_seq: through || 3 }
    },
  })
  onTestFinished(() => telemetry.close())
  await expect
    .poll(() => taken)
    .toEqual([
      { through: 0, lost: null },
      { through: 7, lost: { from: 4, to: 7 } },
      { through: 8, lost: null },
      { through: 9, lost: null },
    ])
})

test('events from before the runtime joined are not sent, even to a panel that forgot its position', async () => {
  const events = [1, 2, 3, 4, 5].map((seq) => ({ ...started, seq, at: '2026-01-02T03:04:05.000Z' }) as RuntimeEvent)
  const sent: number[] = []
  let stored = 0
  let batches = 0
  const telemetry = new Telemetry({
    state: {
      findEvents: ({ after }) => events.filter(({ seq }) => seq > after!).slice(0, 1),
      subscribe: () => () => true,
    },
    clock: systemClock,
    journalId: 'one',
    joinedSeq: 3,
    send: async ({ after, through, lost, events: some }) => {
      if (++batches === 3) stored = 0
      expect(lost).toBeNull()
      if (after > stored) return { acked_seq: stored }
      sent.push(...some.map(({ seq }) => seq))
      stored = Math.max(stored, through)
      return { acked_seq: stored }
    },
  })
  onTestFinished(() => telemetry.close())
  await expect.poll(() => stored, { timeout: 5_000 }).toBe(5)
  expect(sent).toEqual([4, 4, 5])
})

test('a copy of a database that is in use sends nothing, so that nothing of the other one is taken for sent', async () => {
  const panel = await openPanel()
  const path = temporaryFile()
  const invitation = await panel.fleet.credentials.invite(panel.organizationId, { team: null, user: null }, 'x', 'ada')
  await joinMachine(path, panel.url, invitation)
  await openMachine(path).close()
  const copy = temporaryFile()
  cpSync(dirname(path), dirname(copy), { recursive: true })
  const open = (file: string) => {
    const machine = openMachine(file)
    onTestFinished(() => machine.close().catch(() => undefined))
    return machine
  }
  const used = open(path)
  await used.call('0.1', async () => dollars('0.1'))
  const refused = open(copy)
  await expect.poll(() => refused.events.at(-1)?.data).toMatchObject({ code: 'runtime_copied' })
  refused.state.recordAll(Array.from({ length: 20 }, () => ({ event: paid(AGENT, 'crm', '5') })))
  await refused.close()
  used.state.record(paid(AGENT, 'crm', '1'))
  await used.close()
  const spent = await panel.telemetry.store.spending(panel.organizationId, '2000-01-01', 'model')
  expect(spent.map(({ calls, cost }) => [calls, cost])).toEqual([[2, 1_100_000_000n]])
})

type Answer = (request: IncomingMessage, response: ServerResponse) => void

/** Ways in which a panel may fail to take telemetry; the leases come through as ever. */
const PANELS: Readonly<Record<string, Answer>> = {
  'never answers': () => {},
  'is gone': ({ socket }) => void socket.destroy(),
  'is full': (_, response) =>
    void response.writeHead(507).end('{"error":{"code":"database_unusable","message":"full"}}'),
  'answers nonsense': (_, response) => void response.end('<html>'),
  'confirms unknown events': (_, response) => void response.end('{"acked_seq":-5}'),
  'confirms nothing, again and again': (_, response) => void response.end('{"acked_seq":0}'),
  'refuses every event': (_, response) =>
    void response.writeHead(400).end('{"error":{"code":"bad_request","message":"no"}}'),
  'answers without end': (_, response) => {
    const more = () => response.destroyed || response.write('x'.repeat(100_000), more)
    more()
  },
}

describe('calls of agents go on, and their events are kept, when the panel', () => {
  test.each(Object.entries(PANELS))('%s', async (_, answer) => {
    let isWell = false
    let asked = 0
    let open = 0
    let most = 0
    let target = ''
    const front = createServer((request, response) => {
      if (request.url === '/api/telemetry' && !isWell) {
        asked += 1
        most = Math.max(most, ++open)
        response.once('close', () => {
          open -= 1
        })
        request.resume()
        return answer(request, response)
      }
      void forward(target, request, response)
    })
    await new Promise<void>((done) => front.listen(0, '127.0.0.1', done))
    onTestFinished(() => {
      front.closeAllConnections()
      front.close()
    })
    const url = `http://127.0.0.1:${(front.address() as AddressInfo).port}`
    const panel = await openPanel(temporaryFile('panel.db'), [new URL(url).host])
    target = panel.url
    const machine = await joined(panel, url)
    machine.state.record(started)
    await expect.poll(() => asked).toBeGreaterThan(0)
    for (let n = 1; n <= 20; n++) {
      machine.state.record(progress(n))
      await machine.call('0.01', async () => dollars('0.01'))
    }
    expect(most).toBe(1)
    expect(machine.state.read().agents[AGENT]).toMatchObject({ spent_usd: '0.2', progress: { done: 20 } })
    isWell = true
    front.closeAllConnections()
    // As after a restart of the panel, which the leases notice.
    machine.state.record({ type: 'panel.connected', level: 'OK', message: 'back', data: { url } })
    await expect.poll(async () => (await agents(panel))[0]?.work?.done, { timeout: 10_000 }).toBe(20)
  })
})

async function forward(target: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const { authorization = '', 'content-type': type = 'application/json' } = request.headers
  const body = chunks.length > 0 ? Buffer.concat(chunks) : null
  const answer = await fetch(target + request.url, {
    method: request.method!,
    headers: { authorization, 'content-type': type },
    body,
  })
  response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text())
}
