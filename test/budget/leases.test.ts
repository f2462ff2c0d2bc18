/** What a runtime's leases say to a panel, and when they stop spending. test/panel has them with a real panel. */
import { expect, onTestFinished, test } from 'vitest'
import { Leases } from '../../src/budget/leases.ts'
import { openStore, type Store } from '../../src/db/store.ts'
import { CageError } from '../../src/errors.ts'
import { type AgentId, toAgentId } from '../../src/ids.ts'
import type { LeaseBank, NamedBudget, Report } from '../../src/lease-messages.ts'
import { nanodollars, ZERO_NANOS } from '../../src/money.ts'
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

/** A panel that grants whatever it is asked for; its reports may fail. */
function openLeases(listed: string[] = [], fill: (store: Store) => void = () => {}) {
  const clock = new TestClock()
  const store = openStore({ path: temporaryFile() })
  fill(store)
  const panel = {
    isReportLost: false,
    reports: [] as Report[],
    granted: 0,
    /** Of what it grants. */
    endsInMs: null as number | null,
    budgets: [] as NamedBudget[],
    spentAgents: [] as string[],
    coverS: 10,
    wanted: [] as number[],
  }
  const bank: LeaseBank = {
    open: async () => ({
      epoch: 1,
      ttlMs: TTL_MS,
      coverS: panel.coverS,
      leases: listed.map((id) => ({ id, granted: dollars('1'), ...FOR_ANY })),
    }),
    request: async ({ request, want, agent, token }) => {
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
      if (panel.isReportLost) throw new CageError('panel_unreachable', 'the report is lost')
      panel.reports.push(report)
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
    record: () => {},
  })
  onTestFinished(async () => {
    await clock.passing(leases.close())
    store.close()
  })
  return { clock, leases, panel }
}

test('a grant does not extend the right to spend: what a runtime cannot report, it stops spending', async () => {
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

test('a runtime holds what it spends in the time that its organization allows', async () => {
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
