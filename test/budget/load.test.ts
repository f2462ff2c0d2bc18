/** The spending of an agent is added up in slices of time, so that a long ledger does not delay others. */

import { expect, onTestFinished, test } from 'vitest'
import { openLedger } from '../../src/budget/ledger.ts'
import { configSchema } from '../../src/config/schema.ts'
import { type AgentId, toAgentId, toCallId } from '../../src/core/ids.ts'
import { nanodollars } from '../../src/core/money.ts'
import { openStore } from '../../src/db/store.ts'
import { StateManager } from '../../src/state/state-manager.ts'
import { TestClock } from '../support/clock.ts'
import { turnsDuring } from '../support/turns.ts'
import { completedEvent } from './support.ts'

const ROWS = 12_345

function open(budget: object = {}) {
  const clock = new TestClock()
  const store = openStore({ path: ':memory:' })
  const onFault = (error: unknown) => {
    throw error
  }
  const state = new StateManager({ store, clock, retentionDays: 7, onFault })
  const start = () => openLedger(configSchema.parse({ budget }).budget, { store, state, clock })
  const before = start()
  for (const agentId of ['w-1', 'w-2'].map(toAgentId)) before.accounts.openAccount(agentId, nanodollars(1_000_000))
  before.close()
  onTestFinished(() => {
    state.close()
    store.close()
  })
  /** As after a restart. */
  const restart = () => {
    const ledger = start()
    onTestFinished(() => ledger.close())
    return ledger
  }
  return { clock, store, restart }
}

/** So many calls of one nanodollar each, the last three of them open. */
function fill({ store }: ReturnType<typeof open>, agentId: AgentId, at: (number: number) => string): void {
  const insert = store.orm.$client.prepare(
    `INSERT INTO calls (agent_id, id, kind, target, model, state, held_nanos, cost_nanos, started_at, ended_at)
     VALUES (?, ?, 'llm', 'openai', 'penny', ?, 5, ?, ?, ?)`,
  )
  store.transaction(() => {
    for (let number = 0; number < ROWS; number++) {
      const isOpen = number >= ROWS - 3
      const id = `call-${String(number).padStart(9, '0')}`
      insert.run(agentId, id, isOpen ? 'unresolved' : 'charged', isOpen ? 0 : 1, at(number), at(number))
    }
  })
}

test.each([{}, { period: { every: 'day', time_zone: 'UTC' } }])(
  'the same is added up in turns as at once, with %j',
  async (budget) => {
    const world = open(budget)
    const today = new Date(world.clock.now()).toISOString()
    for (const agentId of ['w-1', 'w-2'].map(toAgentId)) {
      fill(world, agentId, (number) => (number % 2 ? today : '2020-01-01T00:00:00.000Z'))
    }
    const { accounts } = world.restart()
    const { turns } = await turnsDuring(async () => accounts.load(toAgentId('w-1')))
    expect(turns).toBeGreaterThan(10)
    expect(accounts.load(toAgentId('w-1'))).toBeUndefined()
    expect(accounts.balance(toAgentId('w-1'))).toEqual(accounts.balance(toAgentId('w-2')))
    // Of the three open ones, one is of today.
    expect(accounts.balance(toAgentId('w-1')).held).toBe('period' in budget ? 5 : 15)
    const { spent, spentBefore } = world.store.calls.totals({ agentId: toAgentId('w-1') })
    expect(spent + spentBefore).toBe(ROWS - 3)
  },
)

test('a balance read during loading is correct, and a charge made meanwhile counts once', async () => {
  const world = open()
  fill(world, toAgentId('w-1'), () => '2026-01-01')
  const ledger = world.restart()
  const loading = ledger.accounts.load(toAgentId('w-1'))
  expect(ledger.accounts.balance(toAgentId('w-1')).spent).toBe(ROWS - 3)
  const maxCost = nanodollars(100)
  const request = {
    agentId: toAgentId('w-1'),
    runId: null,
    callId: toCallId('call-new'),
    kind: 'llm',
    target: 'openai',
    model: 'm',
    maxCost,
  } as const
  const hold = await ledger.hold(request)
  await ledger.charge(hold, { cost: nanodollars(70) }, completedEvent(toAgentId('w-1'), '0.00000007'))
  await loading
  expect(ledger.accounts.balance(toAgentId('w-1'))).toMatchObject({ spent: ROWS - 3 + 70, held: 15 })
  expect(ledger.accounts.load(toAgentId('nobody'))).toBeInstanceOf(Promise)
  await expect(ledger.accounts.load(toAgentId('nobody'))).resolves.toBeUndefined()
})
