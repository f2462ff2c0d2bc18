/** Calls are found among very many as if all had been looked at at once, and others get their turn meanwhile. */
import { describe, expect, onTestFinished, test } from 'vitest'
import { type CallId, callIdsFrom, toAgentId, toCallId } from '../../../src/core/ids.ts'
import { nanodollars } from '../../../src/core/money.ts'
import { openStore, type Store } from '../../../src/db/store.ts'
import type { CallSearch } from '../../../src/db/tables/call-keys.ts'
import type { CallRow } from '../../../src/db/tables/calls.ts'
import { turnsDuring } from '../../support/turns.ts'

const ROWS = 25_000
const BEGAN = Date.parse('2026-01-02T03:00:00Z')
const id = (number: number) => toCallId(`${callIdsFrom(BEGAN + number * 1_000)}0000${String(number).padStart(6, '0')}`)

/** Every row as it was written. */
function filled(): { store: Store; rows: CallRow[] } {
  const store = openStore({ path: ':memory:' })
  onTestFinished(() => store.close())
  const insert = store.orm.$client.prepare(
    `INSERT INTO calls (agent_id, id, kind, target, model, state, held_nanos, cost_nanos, code, started_at, ended_at, unit)
     VALUES (?, ?, ?, ?, ?, ?, 5, ?, ?, '2026-01-02', '2026-01-02', ?)`,
  )
  const hold = store.orm.$client.prepare(
    `INSERT INTO holds (agent_id, id, kind, target, model, unit, held_nanos, started_at)
     VALUES (?, ?, ?, ?, ?, ?, 5, '2026-01-02')`,
  )
  store.transaction(() => {
    for (let number = 0; number < ROWS; number++) {
      const isService = number % 5 === 0
      const call = [
        `w-${number % 3}`,
        id(number),
        isService ? 'service' : 'llm',
        isService ? 'linkedin' : 'openai',
        isService ? null : number === 7 ? 'rare' : `model-${number % 2}`,
      ]
      const unit = number % 2 ? `lead ${number % 100}` : null
      if (number % 8_000 === 1) {
        hold.run(...call, unit)
        continue
      }
      insert.run(
        ...call,
        number % 9_000 === 2 ? 'unresolved' : number % 4_000 ? 'charged' : 'released',
        (number * 7_919) % 1_000,
        number % 4_000 ? (number % 4_001 ? null : 'overrun') : 'provider_failed',
        unit,
      )
    }
  })
  return { store, rows: store.orm.$client.prepare('SELECT * FROM ledger ORDER BY id').all() as CallRow[] }
}

const hasEnded = ({ state }: CallRow) => state === 'charged' || state === 'released'

/** The calls that each filter lets through. */
const SEARCHES: [name: string, search: Partial<CallSearch>, fits: (row: CallRow) => boolean][] = [
  ['everything', {}, () => true],
  ['of an agent', { agentId: toAgentId('w-1') }, (row) => row.agent_id === 'w-1'],
  ['of a kind', { kind: 'service' }, (row) => row.kind === 'service'],
  ['to a service', { target: 'linkedin' }, (row) => row.target === 'linkedin'],
  ['of a rare model', { model: 'rare' }, (row) => row.model === 'rare'],
  ['that failed', { outcome: 'failed' }, (row) => hasEnded(row) && row.code === 'provider_failed'],
  ['that were answered', { outcome: 'answered' }, (row) => hasEnded(row) && row.code !== 'provider_failed'],
  ['that run', { outcome: 'running' }, (row) => row.state === 'held'],
  ['that a killed server left', { outcome: 'unresolved' }, (row) => row.state === 'unresolved'],
  ['of a unit of work', { unit: 'lead 67' }, (row) => row.unit === 'lead 67'],
  [
    'in a range of costs',
    { minCost: nanodollars(990), maxCost: nanodollars(995) },
    (row) => row.cost_nanos >= 990 && row.cost_nanos <= 995,
  ],
  [
    'in a range of times',
    { from: callIdsFrom(BEGAN + 9_000_000), to: callIdsFrom(BEGAN + 12_000_000) },
    (row) => row.id >= id(9_000) && row.id < id(12_000),
  ],
  [
    'of an agent and a model, in a range of times',
    { agentId: toAgentId('w-2'), model: 'model-1', from: callIdsFrom(BEGAN + 20_000_000) },
    (row) => row.agent_id === 'w-2' && row.model === 'model-1' && row.id >= id(20_000),
  ],
]

describe('calls', () => {
  test('calls are found by every filter in every order, page by page, as if all were read at once', async () => {
    const { store, rows } = filled()
    for (const [name, filters, fits] of SEARCHES) {
      const fitting = rows.filter(fits).map((row) => ({ id: row.id, cost: row.cost_nanos }))
      expect(fitting.length, name).toBeGreaterThan(0)
      for (const sort of ['newest', 'oldest', 'cost'] as const) {
        const sorted = sort === 'oldest' ? fitting : fitting.toReversed()
        if (sort === 'cost') sorted.sort((a, b) => b.cost - a.cost)
        const wanted = sorted.slice(0, 2_100).map((row) => row.id)
        const found: CallId[] = []
        for (let after: CallSearch['after']; found.length < wanted.length; ) {
          const page = await store.callSearch.find({ ...filters, sort, after, limit: 700 })
          found.push(...page.map((row) => row.id))
          if (page.length < 700) break
          const last = page.at(-1)!
          after = { id: last.id, cost: last.cost_nanos }
        }
        expect(found, `${name}, ${sort}`).toEqual(wanted)
      }
    }
  })

  test('a search with few matches among very many calls runs in slices', async () => {
    const { store } = filled()
    const search = { model: 'rare', sort: 'newest', limit: 10 } as const
    const { turns, result } = await turnsDuring(() => store.callSearch.find(search))
    expect(result.map((row) => row.id)).toEqual([id(7)])
    expect(turns).toBeGreaterThan(ROWS / 10_000)
    // New rows are found as well.
    store.calls.insertHeld({
      id: id(ROWS),
      agent_id: toAgentId('w-1'),
      run_id: null,
      kind: 'llm',
      target: 'openai',
      model: 'rare',
      unit: null,
      lease_id: null,
      held_nanos: nanodollars(1),
      started_at: '2026-01-03',
    })
    expect((await store.callSearch.find(search)).map((row) => row.id)).toEqual([id(ROWS), id(7)])
  })
})

describe('the events of a call', () => {
  test('the events of a call are those near its time that name it', async () => {
    const { store } = filled()
    const at = (number: number) => new Date(BEGAN + number * 100).toISOString()
    const call = { id: id(7), agent_id: toAgentId('w-1'), started_at: at(3_000), ended_at: at(3_010) }
    store.transaction(() => {
      for (let seq = 1; seq <= 9_000; seq++) {
        const names = { 100: id(7), 3001: id(7), 3005: id(8), 3012: id(7), 8000: id(7) }[seq]
        store.events.insert({
          seq,
          at: at(seq),
          agent_id: seq === 3_012 ? null : call.agent_id,
          level: 'INFO',
          type: 'agent.output',
          message: 'x',
          data: { stream: 'stdout', text: 'x', ...(names && { call_id: names }) },
        })
      }
    })
    // One of another agent, one long before and one long after are not its own.
    expect((await store.events.ofCall(call)).map(({ seq }) => seq)).toEqual([3_001])
    const open = { ...call, ended_at: null }
    expect((await store.events.ofCall(open)).map(({ seq }) => seq)).toEqual([3_001, 8_000])
  })
})
