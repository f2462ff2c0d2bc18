/** Corrections by a person: a cost that was another, and calls that a killed server left open. */

import { describe, expect, test } from 'vitest'
import { Ledger } from '../../src/budget/ledger.ts'
import { type CallId, newCallId, toAgentId, toCallId, toRunId } from '../../src/core/ids.ts'
import { fromUsd, type Nanodollars, nanodollars, toUsd, ZERO_USD } from '../../src/core/money.ts'
import { openStore } from '../../src/db/store.ts'
import { openWorld } from '../breaker/support.ts'
import { dollars } from '../support/money.ts'
import { completedEvent, startedEvent } from './support.ts'

const AGENT = toAgentId('lg-7a3f9c2d')

function openLedger(limit = '10', store = openStore({ path: ':memory:' })) {
  const world = openWorld(store)
  const ledger = new Ledger({ ...world, warnAt: [0.9], server: dollars('100') })
  const { state } = world
  return {
    ...world,
    ledger,
    calls: store.calls,
    begin: () => {
      ledger.accounts.openAccount(AGENT, dollars(limit))
      state.record(startedEvent(AGENT, limit))
    },
    hold: (usd: string) =>
      ledger.hold({
        callId: newCallId(),
        agentId: AGENT,
        runId: toRunId('run-1'),
        kind: 'llm',
        target: 'openai',
        model: 'gpt-4',
        maxCost: dollars(usd),
      }),
    pay: async (usd: string) => {
      const callId = newCallId()
      const request = {
        agentId: AGENT,
        runId: toRunId('run-1'),
        kind: 'llm',
        target: 'openai',
        model: 'gpt-4',
      } as const
      const hold = await ledger.hold({ ...request, callId, maxCost: dollars(usd) })
      await ledger.charge(hold, { cost: dollars(usd) }, completedEvent(AGENT, usd))
      return callId
    },
    correct: (callId: CallId, usd: string) =>
      ledger.correct({ agentId: AGENT, callId, cost: dollars(usd), reason: 'the invoice', by: 'a test' }),
    resolve: (callId: CallId, usd: string | null | undefined) =>
      ledger.resolve({ agentId: AGENT, callId, cost: typeof usd === 'string' ? dollars(usd) : usd, by: 'a test' }),
    /** The same sum wherever it stands. */
    spent: () => {
      const rows = store.orm.$client.prepare('SELECT sum(cost_nanos) FROM calls').pluck().get() as Nanodollars
      const view = state.read().agents[AGENT]!
      const [agent, server] = ledger.accounts.balances({ agentId: AGENT, runId: null })
      const all = [
        rows,
        agent!.spent,
        server!.spent,
        fromUsd(view.spent_usd),
        fromUsd(view.by_model['gpt-4']?.cost_usd ?? ZERO_USD),
      ]
      expect(new Set(all).size, String(all)).toBe(1)
      return toUsd(rows)
    },
  }
}

describe('a correction', () => {
  test('a correction is a separate row with the difference, and the row of the call stays unchanged', async () => {
    const world = openLedger()
    world.begin()
    const callId = await world.pay('2')
    const before = world.calls.get(AGENT, callId)
    const id = world.correct(callId, '1.25')
    expect(world.calls.get(AGENT, callId)).toEqual(before)
    expect(world.calls.get(AGENT, id)).toMatchObject({
      kind: 'correction',
      corrects: callId,
      cost_nanos: -dollars('0.75'),
      held_nanos: 0,
      state: 'charged',
      target: 'openai',
      model: 'gpt-4',
      reason: 'the invoice',
      ended_at: before?.ended_at,
    })
    expect(world.spent()).toBe('1.25')
    expect(world.of('call.corrected').map(({ message }) => message)).toEqual([
      'gpt-4 corrected to $1.25 (−$0.75) by a test: the invoice',
    ])
  })

  test('a correction gives the total cost of the call, so that a second one counts from the first', async () => {
    const world = openLedger()
    world.begin()
    const callId = await world.pay('2')
    world.correct(callId, '3')
    world.correct(callId, '2.5')
    expect(world.spent()).toBe('2.5')
    expect(() => world.correct(callId, '2.5')).toThrow('already costs $2.50')
    world.correct(callId, '0')
    expect(world.spent()).toBe('0')
  })

  test('a correction counts against the limit at once, also above it', async () => {
    const world = openLedger('1')
    world.begin()
    const callId = await world.pay('0.5')
    world.correct(callId, '1.5')
    expect(world.spent()).toBe('1.5')
    expect(world.of('budget.warned')).toHaveLength(1)
    expect(world.of('budget.exhausted')).toHaveLength(1)
    await expect(world.pay('0.01')).rejects.toMatchObject({ code: 'budget_exceeded' })
    world.correct(callId, '0.2')
    await world.pay('0.8')
    expect(world.spent()).toBe('1')
  })

  test('a correction of an open or unknown call, or of another correction, is refused', async () => {
    const world = openLedger()
    world.begin()
    const { callId: open } = await world.hold('1')
    const paid = await world.pay('1')
    const correction = world.correct(paid, '2')
    expect(() => world.correct(open, '2')).toThrow(/has not ended/)
    expect(() => world.correct(correction, '2')).toThrow(/is a correction; correct .* again/)
    expect(() => world.correct(toCallId('call-0'), '2')).toThrow(/made no call "call-0"/)
    expect(() =>
      world.ledger.correct({ agentId: toAgentId('nobody'), callId: paid, cost: nanodollars(1), reason: '', by: '' }),
    ).toThrow(/no budget/)
    expect(world.of('call.corrected')).toHaveLength(1)
  })

  test('a correction is in the sums after a restart', async () => {
    const store = openStore({ path: ':memory:' })
    const world = openLedger('10', store)
    world.begin()
    world.correct(await world.pay('2'), '1.999999999')
    world.state.close()
    expect(openLedger('10', store).spent()).toBe('1.999999999')
  })

  test('the table accepts a negative cost from a correction only, and never as a hold', async () => {
    const { store } = openLedger()
    const insert = (kind: string, corrects: string | null, held: number) => () =>
      store.orm.$client
        .prepare(
          `INSERT INTO calls (agent_id, id, kind, target, state, held_nanos, cost_nanos, started_at, corrects)
           VALUES ('a', ?, ?, 'openai', 'charged', ?, -5, '2026', ?)`,
        )
        .run(newCallId(), kind, held, corrects)
    expect(insert('llm', null, 0)).toThrow(/CHECK/)
    expect(insert('llm', 'call-1', 0)).toThrow(/CHECK/)
    expect(insert('correction', null, 0)).toThrow(/CHECK/)
    expect(insert('correction', 'call-1', 5)).toThrow(/CHECK/)
    expect(insert('correction', 'call-1', 0)).not.toThrow()
  })
})

describe('a call that a killed server left open', () => {
  /** A ledger after a crash in the middle of one call of $3. */
  async function afterCrash() {
    const store = openStore({ path: ':memory:' })
    const killed = openLedger('10', store)
    killed.begin()
    await killed.pay('1')
    const { callId } = await killed.hold('3')
    killed.state.close()
    const world = openLedger('10', store)
    expect(world.ledger.recover()).toBe(1)
    return { ...world, callId, balance: () => world.ledger.accounts.balance(AGENT) }
  }

  test.each([
    ['charged with its hold', undefined, '4', 'charged'],
    ['charged with its cost', '0.5', '1.5', 'charged'],
    ['charged with a cost above its hold', '5', '6', 'charged'],
    ['released', null, '1', 'released'],
  ] as const)('a call left open is %s by a person, and then holds nothing', async (_, cost, spent, state) => {
    const world = await afterCrash()
    expect(world.balance()).toMatchObject({ spent: dollars('1'), held: dollars('3') })
    world.resolve(world.callId, cost)
    expect(world.balance()).toMatchObject({ spent: dollars(spent), held: 0 })
    expect(world.spent()).toBe(spent)
    expect(world.calls.get(AGENT, world.callId)).toMatchObject({ state, held_nanos: dollars('3') })
    expect(world.of('call.resolved').map(({ data }) => data.outcome)).toEqual([state])
  })

  test('a call that a killed server left open is resolved once', async () => {
    const world = await afterCrash()
    world.resolve(world.callId, null)
    expect(() => world.resolve(world.callId, undefined)).toThrow(/is released, not unresolved/)
    expect(world.balance()).toMatchObject({ spent: dollars('1'), held: 0 })
  })

  test('resolving a call that a killed server left open wakes a call that waits for its hold', async () => {
    const world = await afterCrash()
    const waiting = world.hold('8')
    world.resolve(world.callId, null)
    expect((await waiting).maxCost).toBe(dollars('8'))
  })

  test('a call that a killed server left open can be corrected only when it is resolved', async () => {
    const world = await afterCrash()
    expect(() => world.correct(world.callId, '2')).toThrow(/is unresolved: charge or release it/)
    world.resolve(world.callId, undefined)
    world.correct(world.callId, '2')
    expect(world.spent()).toBe('3')
  })
})
