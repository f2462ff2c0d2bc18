/**
 * The messages of a runtime's leases to a panel, and the end of its right to spend. test/panel has them with a real
 * panel.
 */
import Sqlite from 'better-sqlite3'
import { expect, onTestFinished, test, vi } from 'vitest'
import { CageError } from '../../src/core/errors.ts'
import type { NewEvent } from '../../src/core/events.ts'
import { type AgentId, toAgentId } from '../../src/core/ids.ts'
import { nanodollars, ZERO_NANOS } from '../../src/core/money.ts'
import { openStore, type Store } from '../../src/db/store.ts'
import type { LeaseBank, NamedBudget, Report } from '../../src/protocol/lease-messages.ts'
import { Leases } from '../../src/uplink/leases.ts'
import { TestClock } from '../support/clock.ts'
import { dollars } from '../support/money.ts'
import { temporaryFile } from '../support/temporary-file.ts'

const TTL_MS = 2_000
const AMPLE = {
  balance: {
    budget: 'organization acme',
    limit: dollars('100'),
    settled: ZERO_NANOS,
    free: dollars('100'),
    endsAt: null,
  },
  isScarce: false,
}
const NOBODY = { agent: null, token: null }
const FOR_ANY = { names: NOBODY, endsInMs: null }

/** A panel that grants every request; its reports may fail. */
function openLeases(listed: string[] = [], fill: (store: Store) => void = () => {}) {
  const clock = new TestClock()
  const store = openStore({ path: temporaryFile() })
  fill(store)
  const panel = {
    isReportLost: false,
    isFenced: false,
    epoch: 0,
    reports: [] as Report[],
    granted: 0,
    /** Properties of its grants. */
    endsInMs: null as number | null,
    budgets: [] as NamedBudget[],
    spentAgents: [] as string[],
    coverS: 10,
    wanted: [] as number[],
    /** Called with the kind of message, before it answers. */
    asked: async (_message: 'request' | 'report'): Promise<void> => {},
  }
  /** As another program reads it: the committed rows. */
  const committed = new Sqlite(store.path, { readonly: true })
  const rows = () => committed.prepare('SELECT id, returned_nanos AS returned FROM leases').all() as StoredRow[]
  const recorded: NewEvent[] = []
  const bank: LeaseBank = {
    open: async () => ({
      epoch: ++panel.epoch,
      ttlMs: TTL_MS,
      coverS: panel.coverS,
      leases: listed.map((id) => ({ id, granted: dollars('1'), ...FOR_ANY })),
    }),
    request: async ({ request, want, agent, token }) => {
      await panel.asked('request')
      if (agent !== null && panel.spentAgents.includes(agent)) {
        return { outcome: 'exhausted', isScarce: true, balance: { ...AMPLE.balance, free: ZERO_NANOS } }
      }
      panel.granted += 1
      panel.wanted.push(want)
      const use = { names: { agent, token }, endsInMs: panel.endsInMs }
      return { outcome: 'granted', id: `lease-${request}`, granted: dollars('1'), signed: null, ...use, ...AMPLE }
    },
    present: async () => {},
    report: async (report) => {
      if (panel.isFenced) throw new CageError('runtime_fenced', 'another one has opened')
      if (panel.isReportLost) throw new CageError('panel_unreachable', 'the report is lost')
      panel.reports.push(report)
      await panel.asked('report')
      return {
        ttlMs: TTL_MS,
        coverS: panel.coverS,
        budgetsVersion: 1,
        budgets: panel.budgets,
        pools: [{ ...NOBODY, ...AMPLE }],
        unknown: [],
        bookmark: null,
      }
    },
  }
  const agentName = (id: AgentId) => `name of ${id}`
  const url = 'http://panel'
  const leases = new Leases({
    store,
    clock,
    bank,
    journal: { id: 'journal', close: () => {} },
    url,
    agentName,
    record: (event) => void recorded.push(event),
  })
  onTestFinished(async () => {
    await clock.passing(leases.close())
    committed.close()
    store.close()
  })
  return { clock, leases, panel, store, rows, recorded }
}

interface StoredRow {
  id: string
  returned: number
}

test('a lease pays for nothing before its row is committed, and not at all if it cannot be', async () => {
  const { clock, leases, store, rows } = openLeases()
  await clock.advanceAsync(0)
  const call = { agentId: toAgentId('a-1'), maxCost: dollars('0.5') }
  vi.spyOn(store.leases, 'insert').mockImplementationOnce(() => {
    throw new Error('the disk is full')
  })
  await clock.passing(leases.change(call, 100))
  expect(leases.leaseFor(call, call.maxCost)).toBeUndefined()
  let lease: { id: string } | undefined
  void clock.passing(leases.change(call, 100))
  // As soon as it pays, within the same turn of the event loop.
  for (let turns = 0; turns < 1_000 && !lease; turns++) {
    await undefined
    lease = leases.leaseFor(call, call.maxCost)
  }
  expect(rows().map(({ id }) => id)).toContain(lease?.id)
})

test('a return is in the database when it is reported', async () => {
  const { clock, leases, panel, rows } = openLeases()
  panel.endsInMs = 1_500
  const stored: (number | undefined)[] = []
  panel.asked = async (message) => {
    if (message !== 'report') return
    for (const { id } of panel.reports.at(-1)?.statements ?? []) {
      stored.push(rows().find((row) => row.id === id)?.returned)
    }
  }
  await clock.advanceAsync(0)
  const call = { agentId: toAgentId('a-1'), maxCost: dollars('0.5') }
  await clock.passing(leases.change(call, 100))
  await clock.advanceAsync(2_100)
  const reported = panel.reports.flatMap(({ statements }) => statements.map(({ returned }) => returned))
  expect(reported).toContain(dollars('1'))
  expect(stored).toEqual(reported)
})

test('a change announced during a report is requested after it', async () => {
  const { clock, leases, panel } = openLeases()
  await clock.advanceAsync(0)
  const { promise: late, resolve: arrives } = Promise.withResolvers<void>()
  panel.asked = () => late
  await clock.advanceAsync(1_000)
  const before = panel.reports.length
  leases.refresh()
  await clock.advanceAsync(100)
  expect(panel.reports).toHaveLength(before)
  arrives()
  await clock.advanceAsync(0)
  await clock.advanceAsync(100)
  expect(panel.reports).toHaveLength(before + 1)
})

test('a grant to an earlier epoch is not spent, because the next epoch learns of its lease from the panel', async () => {
  const { clock, leases, panel, rows } = openLeases()
  await clock.advanceAsync(0)
  const call = { agentId: toAgentId('a-1'), maxCost: dollars('0.5') }
  const { promise: late, resolve: arrives } = Promise.withResolvers<void>()
  panel.asked = async (message) => {
    if (message === 'request') await late
  }
  void leases.change(call, 100)
  await clock.advanceAsync(0)
  panel.isFenced = true
  await clock.advanceAsync(1_100)
  panel.isFenced = false
  await clock.advanceAsync(1_100)
  expect(panel.epoch).toBe(2)
  arrives()
  await clock.advanceAsync(0)
  expect(panel.granted).toBe(1)
  expect(leases.leaseFor(call, call.maxCost)).toBeUndefined()
  expect(rows()).toEqual([])
})

test('a grant does not extend the right to spend, so a runtime that cannot report stops spending', async () => {
  const { clock, leases, panel } = openLeases()
  await clock.advanceAsync(0)
  panel.isReportLost = true
  await clock.advanceAsync(TTL_MS - 500)
  const call = { agentId: toAgentId('a-1'), maxCost: dollars('0.5') }
  await clock.passing(leases.change(call, 100))
  expect(panel.granted).toBe(1)
  expect(leases.leaseFor(call, call.maxCost)).toBeDefined()
  await clock.advanceAsync(500)
  expect(leases.leaseFor(call, call.maxCost)).toBeUndefined()
  await expect(leases.change(call, 0)).rejects.toMatchObject({ code: 'budget_unreachable' })
})

test('nothing is held of a lease whose period has ended: the rest is returned, and the next call asks for a new one', async () => {
  const { clock, leases, panel } = openLeases()
  panel.endsInMs = 1_500
  await clock.advanceAsync(0)
  const call = { agentId: toAgentId('a-1'), maxCost: dollars('0.5') }
  await clock.passing(leases.change(call, 100))
  expect(leases.leaseFor(call, call.maxCost)?.id).toBe('lease-0')
  await clock.advanceAsync(1_500)
  expect(leases.leaseFor(call, call.maxCost)).toBeUndefined()
  await clock.advanceAsync(600)
  expect(panel.reports.at(-1)!.statements).toMatchObject([{ id: 'lease-0', returned: dollars('1'), isFinal: true }])
  await clock.passing(leases.change(call, 100))
  expect(leases.leaseFor(call, call.maxCost)?.id).toBe('lease-1')
})

test('an agent and a token with budgets of their own have leases of their own, from the next report on', async () => {
  const { clock, leases, panel } = openLeases()
  await clock.advanceAsync(0)
  const call = { agentId: toAgentId('a-1'), tokenName: 'notebook', maxCost: dollars('0.5') }
  await clock.passing(leases.change(call, 100))
  expect(leases.leaseFor(call, call.maxCost)?.pool.names).toEqual(NOBODY)
  panel.budgets = [
    { scope: 'agent', name: 'name of a-1' },
    { scope: 'token', name: 'notebook' },
  ]
  await clock.advanceAsync(1_100)
  expect(leases.leaseFor(call, call.maxCost)).toBeUndefined()
  await clock.passing(leases.change(call, 100))
  expect(leases.leaseFor(call, call.maxCost)?.pool.names).toEqual({ agent: 'name of a-1', token: 'notebook' })
  const other = { agentId: toAgentId('a-2') }
  expect(leases.leaseFor(other, call.maxCost)?.pool.names).toEqual(NOBODY)
})

test('a caller whose own budget is spent is refused alone', async () => {
  const { clock, leases, panel } = openLeases()
  panel.budgets = [{ scope: 'agent', name: 'name of a-1' }]
  panel.spentAgents = ['name of a-1']
  await clock.advanceAsync(0)
  const maxCost = dollars('0.5')
  const [spent, other] = [toAgentId('a-1'), toAgentId('a-2')].map((agentId) => ({ agentId, maxCost }))
  await clock.passing(leases.change(spent!, 100))
  await expect(leases.change(spent!, 100)).rejects.toMatchObject({ code: 'budget_exceeded' })
  await clock.passing(leases.change(other!, 100))
  expect(leases.leaseFor(other!, maxCost)).toBeDefined()
})

test('a spent budget of an agent that was raised or has renewed pays again a report later, and nothing known before bounds its calls', async () => {
  const { clock, leases, panel } = openLeases()
  const call = { agentId: toAgentId('a-1'), maxCost: dollars('0.5') }
  panel.budgets = [{ scope: 'agent', name: 'name of a-1' }]
  panel.spentAgents = ['name of a-1']
  await clock.advanceAsync(0)
  await clock.passing(leases.change(call, 100))
  expect(leases.available(call)).toBe(ZERO_NANOS)
  await expect(leases.change(call, 100)).rejects.toMatchObject({ code: 'budget_exceeded' })
  panel.spentAgents = []
  await clock.advanceAsync(1_100)
  expect(leases.available(call)).toBe(dollars('100'))
  await clock.passing(leases.change(call, 100))
  expect(leases.leaseFor(call, call.maxCost)).toBeDefined()
})

test('the answer of a panel to a closed runtime is dropped: no money is lent, and no event is recorded', async () => {
  for (const answer of ['granted', 'failed'] as const) {
    const { clock, leases, panel, store, recorded } = openLeases()
    await clock.advanceAsync(0)
    const late = Promise.withResolvers<void>()
    panel.asked = (message) => (message === 'request' ? late.promise : Promise.resolve())
    const call = { agentId: toAgentId('a-1'), maxCost: dollars('0.5') }
    const asked = clock.passing(leases.change(call, 100))
    await clock.passing(leases.close())
    const before = [...recorded]
    if (answer === 'granted') late.resolve()
    else late.reject(new CageError('panel_unreachable', 'the answer is lost'))
    await asked
    await clock.advanceAsync(1_000)
    expect(store.leases.open()).toEqual([])
    expect(recorded).toEqual(before)
  }
})

test('a runtime holds enough for the cover time that its organization sets', async () => {
  const wantedWith = async (coverS: number): Promise<number> => {
    const { clock, leases, panel } = openLeases()
    panel.coverS = coverS
    await clock.advanceAsync(0)
    const call = { agentId: toAgentId('a-1'), maxCost: dollars('0.5') }
    await clock.passing(leases.change(call, 100))
    const lease = leases.leaseFor(call, call.maxCost)!
    lease.account.hold(dollars('0.8'))
    lease.account.settle(dollars('0.8'), dollars('0.8'))
    await clock.advanceAsync(1_000)
    await clock.passing(leases.change(call, 100))
    return panel.wanted.at(-1)!
  }
  const [short, long] = [await wantedWith(10), await wantedWith(600)]
  expect(short).toBeGreaterThan(dollars('0.8'))
  expect(long / short).toBeCloseTo(60, 3)
})

test('more leases than one report may have are all reported', async () => {
  const ids = Array.from({ length: 1_200 }, (_, n) => `lease-${n}`)
  const row = {
    granted_nanos: dollars('1'),
    used_nanos: nanodollars(1),
    returned_nanos: ZERO_NANOS,
    signed: null,
    closed_at: null,
  }
  const { clock, panel } = openLeases(ids, (store) => {
    for (const id of ids) store.leases.insert({ id, ...row })
  })
  await clock.advanceAsync(1_100)
  expect(Math.max(...panel.reports.map(({ statements }) => statements.length))).toBeLessThanOrEqual(500)
  expect(new Set(panel.reports.flatMap(({ statements }) => statements.map(({ id }) => id)))).toEqual(new Set(ids))
})
