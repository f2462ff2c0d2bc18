/** Looking for a few rows among very many lets others work, and finds the same as looking at all at once. */

import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { costReport } from '../../src/budget/report.ts'
import { type CallId, toAgentId, toCallId } from '../../src/core/ids.ts'
import { nanodollars } from '../../src/core/money.ts'
import { openStore, type Store } from '../../src/db/store.ts'
import { callSearchTable } from '../../src/db/tables/call-search.ts'
import { callTable } from '../../src/db/tables/calls.ts'
import type { EventQuery } from '../../src/db/tables/events.ts'
import { turnsDuring } from '../support/turns.ts'

const ROWS = 10_000
const id = (number: number) => toCallId(`call-${String(number).padStart(9, '0')}`)

/** Returns the plan of SQLite for each query: it searches, or scans all rows. */
async function plansDuring({ orm: { $client } }: Store, act: () => unknown): Promise<string[]> {
  const plain = $client.prepare.bind($client)
  const queries = vi.spyOn($client, 'prepare')
  await act()
  return queries.mock.calls.flatMap(([query]) => {
    const named = Object.fromEntries(Array.from(query.matchAll(/:(\w+)/g), ([, name]) => [name!, 1]))
    const values = [...Array(query.split('?').length - 1).fill(1), named]
    const steps = plain(`EXPLAIN QUERY PLAN ${query}`).all(...values)
    return steps.map((step) => (step as { detail: string }).detail)
  })
}

test('pages of calls are read without a look at all of them, running ones included', async () => {
  const store = filled()
  const plans = await plansDuring(store, async () => {
    for (const sort of ['newest', 'oldest'] as const) {
      for (const agentId of [undefined, toAgentId('w-1')]) await store.callSearch.find({ sort, agentId, limit: 9 })
      for (const outcome of ['unresolved', 'running'] as const) await store.callSearch.find({ sort, outcome, limit: 9 })
    }
    // Opened here, so that the statements it prepares are seen.
    const calls = callTable(store)
    callSearchTable(store).get(id(7))
    calls.get(toAgentId('w-1'), id(7))
    calls.costOf(toAgentId('w-1'), id(7))
    await calls.find({ agentId: toAgentId('w-1'), limit: 9 })
    await costReport(calls, {}, () => undefined)
    store.leases.heldOf('lease-1')
  })
  expect(plans.length).toBeGreaterThan(40)
  const ofCorrections = 'INDEX calls_corrections (agent_id=? AND corrects=?)'
  expect(plans.filter((step) => step.endsWith(ofCorrections))).toHaveLength(2)
  // Few calls run at once, and those that failed are counted up to a limit; but calls that ended stay.
  expect(plans.filter((step) => /^SCAN (?!holds|\(subquery|ledger|calls USING INDEX calls_failed)/.test(step))).toEqual(
    [],
  )
  // Both parts of the ledger come in order: sorting one would read all of it first.
  const sorted = plans.filter(
    (step, index) => step.includes('TEMP B-TREE FOR ORDER BY') && plans[index - 1] !== 'SCAN holds',
  )
  expect(sorted).toEqual([])
})

function filled() {
  const store = openStore({ path: ':memory:' })
  onTestFinished(() => store.close())
  const call = store.orm.$client.prepare(
    `INSERT INTO calls (agent_id, id, kind, target, model, state, held_nanos, cost_nanos, started_at, ended_at)
     VALUES (?, ?, 'llm', 'openai', 'penny', ?, 5, 1, '2026-01-01', '2026-01-01')`,
  )
  const event = store.orm.$client.prepare(
    "INSERT INTO events (seq, at, agent_id, level, type, message, data) VALUES (?, '2026-01-01', ?, ?, ?, 'x', '{}')",
  )
  store.calls.insertHeld({
    id: toCallId('call-running'),
    agent_id: toAgentId('w-3'),
    run_id: null,
    kind: 'llm',
    target: 'openai',
    model: 'penny',
    unit: null,
    lease_id: null,
    held_nanos: nanodollars(5),
    started_at: '2026-01-01',
  })
  store.transaction(() => {
    for (let number = 1; number <= ROWS; number++) {
      const isRare = number % 2_500 === 0
      call.run(number % 3 ? 'w-1' : 'w-2', id(number), isRare ? 'unresolved' : 'charged')
      // Some are forgotten.
      if (number > 100)
        event.run(number, number % 2 ? 'w-1' : null, isRare ? 'CRIT' : 'INFO', isRare ? 'audit.broken' : 'agent.output')
    }
  })
  return store
}

describe('calls', () => {
  test('calls of a rare state are found in turns, newest first, page by page', async () => {
    const calls = filled().calls
    const { turns, result } = await turnsDuring(() =>
      calls.find({ agentId: toAgentId('w-1'), state: 'unresolved', limit: 9 }),
    )
    expect(result.map((row) => row.id)).toEqual([10_000, 5_000, 2_500].map(id))
    expect(turns).toBeGreaterThan(5)
    const page = await calls.find({ agentId: toAgentId('w-1'), state: 'unresolved', limit: 1, before: id(10_000) })
    expect(page.map((row) => row.id)).toEqual([id(5_000)])
  })

  test('calls are all read exactly once, also across the edges of slices', async () => {
    const calls = filled().calls
    const all: CallId[] = []
    for (let before: CallId | undefined; ; before = all.at(-1)) {
      const page = await calls.find({ agentId: toAgentId('w-1'), limit: 777, before })
      all.push(...page.map((row) => row.id))
      if (page.length < 777) break
    }
    const whole = Array.from({ length: ROWS }, (_, index) => ROWS - index).filter((number) => number % 3)
    expect(all).toEqual(whole.map(id))
  })
})

describe('events', () => {
  test.each<EventQuery>([
    { type: 'audit.broken', limit: 9 },
    { type: 'audit.broken', limit: 2 },
    { type: 'audit.broken', after: 2_500, limit: 9 },
    { type: 'audit.broken', after: 0, limit: 3 },
    { level: ['CRIT'], before: 7_500, limit: 9 },
    { level: ['INFO'], type: 'agent.output', agentId: toAgentId('w-1'), before: 4_000, limit: 1_500 },
    { type: 'agent.output', after: 9_990, limit: 100 },
    { type: 'agent.output', after: 20_000, limit: 100 },
    { type: 'nothing.happened', limit: 9 },
    { after: 9_000, limit: 9 },
  ])('events of %j are the same in turns as at once', async (query: EventQuery) => {
    const events = filled().events
    const { turns, result } = await turnsDuring(() => events.search(query))
    expect(result).toEqual(events.find(query))
    if (result.length < query.limit && (query.after ?? 0) === 0 && query.before === undefined)
      expect(turns).toBeGreaterThan(5)
  })

  test('events are looked for without a look at all of them', async () => {
    const store = filled()
    const plans = await plansDuring(store, async () => {
      await store.events.search({ type: 'audit.broken', limit: 9 })
      store.events.firstOf(toAgentId('w-1'))
    })
    expect(plans.length).toBeGreaterThan(5)
    expect(plans.filter((detail) => detail.startsWith('SCAN'))).toEqual([])
  })

  test('events of some types since a time come newest first, and each once', async () => {
    const seen: number[] = []
    for await (const events of filled().events.newestFirst(new Set(['audit.broken']), 3_000)) {
      seen.push(...events.map(({ seq }) => seq))
    }
    expect(seen).toEqual([10_000, 7_500, 5_000])
  })
})
