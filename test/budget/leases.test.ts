/** What a runtime's leases say to a panel, and when they stop spending. test/panel has them with a real panel. */
import { expect, onTestFinished, test } from 'vitest'
import { Leases } from '../../src/budget/leases.ts'
import { openStore, type Store } from '../../src/db/store.ts'
import { CageError } from '../../src/errors.ts'
import { toAgentId } from '../../src/ids.ts'
import type { LeaseBank, Report } from '../../src/lease-messages.ts'
import { nanodollars, ZERO_NANOS } from '../../src/money.ts'
import { TestClock } from '../support/clock.ts'
import { dollars } from '../support/money.ts'
import { temporaryFile } from '../support/temporary-file.ts'

const TTL_MS = 2_000
const AMPLE = {
  balance: { budget: 'organization acme', limit: dollars('100'), settled: ZERO_NANOS, free: dollars('100') },
  isScarce: false,
}

/** A panel that grants whatever it is asked for; its reports may fail. */
function openLeases(listed: string[] = [], fill: (store: Store) => void = () => {}) {
  const clock = new TestClock()
  const store = openStore({ path: temporaryFile() })
  fill(store)
  const panel = { isReportLost: false, reports: [] as Report[], granted: 0 }
  const bank: LeaseBank = {
    open: async () => ({ epoch: 1, ttlMs: TTL_MS, leases: listed.map((id) => ({ id, granted: dollars('1') })) }),
    request: async ({ request }) => {
      panel.granted += 1
      return { outcome: 'granted', id: `lease-${request}`, granted: dollars('1'), ...AMPLE }
    },
    report: async (report) => {
      if (panel.isReportLost) throw new CageError('panel_unreachable', 'the report is lost')
      panel.reports.push(report)
      return { ttlMs: TTL_MS, ...AMPLE }
    },
  }
  const leases = new Leases({ store, clock, bank, journalId: 'journal', url: 'http://panel', record: () => {} })
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
  expect(leases.leaseFor(call.maxCost)).toBeDefined()
  await clock.advanceAsync(500)
  expect(leases.leaseFor(call.maxCost)).toBeUndefined()
  await expect(leases.change(call, 0)).rejects.toMatchObject({ code: 'budget_unreachable' })
})

test('more leases than one report may have are all reported', async () => {
  const ids = Array.from({ length: 1_200 }, (_, n) => `lease-${n}`)
  const row = { granted_nanos: dollars('1'), used_nanos: nanodollars(1), returned_nanos: ZERO_NANOS }
  const { clock, panel } = openLeases(ids, (store) => {
    for (const id of ids) store.leases.insert({ id, ...row })
  })
  await clock.advanceAsync(1_100)
  expect(Math.max(...panel.reports.map(({ statements }) => statements.length))).toBeLessThanOrEqual(500)
  expect(new Set(panel.reports.flatMap(({ statements }) => statements.map(({ id }) => id)))).toEqual(new Set(ids))
})
