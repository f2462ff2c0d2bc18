import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { type Hold, Ledger } from '../../src/budget/ledger.ts'
import type { NewEvent } from '../../src/core/events.ts'
import { newCallId, toAgentId, toCallId } from '../../src/core/ids.ts'
import { type Nanodollars, nanodollars, usd } from '../../src/core/money.ts'
import { openStore } from '../../src/db/store.ts'
import { openWorld } from '../breaker/support.ts'
import fc from '../support/fast-check.ts'
import { dollars } from '../support/money.ts'

const AGENT = toAgentId('lg-7a3f9c2d')

function openLedger(limit: string, store = openStore({ path: ':memory:' })) {
  const world = openWorld(store)
  const ledger = new Ledger({ ...world, warnAt: [0.9] })
  ledger.accounts.openAccount(AGENT, dollars(limit))
  return {
    ...world,
    ledger,
    hold: (maxCost: Nanodollars, signal?: AbortSignal) =>
      ledger.hold(
        { callId: newCallId(), agentId: AGENT, runId: null, kind: 'llm', target: 'openai', model: 'gpt-4', maxCost },
        signal,
      ),
    rows: () =>
      store.orm.$client.prepare('SELECT state, held_nanos, cost_nanos FROM ledger ORDER BY state').all() as {
        state: string
        held_nanos: number
        cost_nanos: number
      }[],
  }
}

const ENDED: NewEvent = {
  type: 'call.failed',
  level: 'WARN',
  agent_id: AGENT,
  message: 'ended',
  data: {
    call_id: toCallId('call-1'),
    provider: 'openai',
    model: 'gpt-4',
    code: 'x',
    status: 500,
    cost_usd: usd('0'),
    estimated: false,
    latency_ms: 1,
    retryable: false,
  },
}

describe('a hold', () => {
  test('two hundred holds on the last cent never raise spent and held above the limit, at any microtask', async () => {
    const world = openLedger('0.01')
    const { ledger } = world
    const cost = dollars('0.004')
    let admitted = 0
    let refused = 0
    const calls = Array.from({ length: 200 }, async () => {
      const hold = await world.hold(cost).catch(() => undefined)
      if (!hold) {
        refused += 1
        return
      }
      admitted += 1
      for (let turn = 0; turn < 20; turn++) await undefined
      await ledger.charge(hold, { cost }, ENDED)
    })
    let samples = 0
    while (admitted + refused < 200 && samples < 100_000) {
      const { limit, spent, held } = ledger.accounts.balance(AGENT)
      expect(spent + held).toBeLessThanOrEqual(limit)
      samples += 1
      await (samples % 50 === 0 ? turn() : undefined)
    }
    await Promise.all(calls)
    expect({ admitted, refused }).toEqual({ admitted: 2, refused: 198 })
    expect(samples).toBeGreaterThan(20)
    expect(ledger.accounts.balance(AGENT)).toEqual({ limit: dollars('0.01'), spent: dollars('0.008'), held: 0 })
  })

  test('a hold counts at once, and has its row in the database before the caller has it', async () => {
    const world = openLedger('1')
    const holding = world.hold(nanodollars(5))
    expect(world.ledger.accounts.balance(AGENT)).toMatchObject({ held: 5 })
    await holding
    expect(world.rows()).toEqual([{ state: 'held', held_nanos: 5, cost_nanos: 0 }])
  })

  test('a hold whose row cannot be written is released and never reaches the caller; its neighbors have theirs', async () => {
    const world = openLedger('1')
    const { ledger } = world
    const one = {
      agentId: AGENT,
      runId: null,
      kind: 'llm',
      target: 'openai',
      model: null,
      maxCost: nanodollars(5),
    } as const
    const holds = await Promise.allSettled([
      ledger.hold({ ...one, callId: toCallId('call-a') }),
      ledger.hold({ ...one, callId: toCallId('call-b'), target: undefined as unknown as string }),
      ledger.hold({ ...one, callId: toCallId('call-c') }),
    ])
    expect(holds.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(ledger.accounts.balance(AGENT)).toMatchObject({ held: 10 })
    expect(world.rows()).toHaveLength(2)
  })

  test('a hold ends once: ending it again throws', async () => {
    const { ledger, hold } = openLedger('1')
    const first = await hold(nanodollars(5))
    void ledger.charge(first, { cost: nanodollars(3) }, ENDED)
    expect(() => ledger.charge(first, { cost: nanodollars(3) }, ENDED)).toThrow('has already ended')
    expect(() => ledger.release(first, {}, ENDED)).toThrow('has already ended')
    expect(ledger.accounts.balance(AGENT)).toMatchObject({ spent: 3, held: 0 })
  })

  test('a charge above its hold is posted in full', async () => {
    const { ledger, hold } = openLedger('1')
    void ledger.charge(await hold(nanodollars(5)), { cost: nanodollars(500) }, ENDED)
    expect(ledger.accounts.balance(AGENT)).toMatchObject({ spent: 500, held: 0 })
  })

  test('a hold waits for held money and takes it as soon as it is released', async () => {
    const { ledger, hold } = openLedger('0.00000001')
    const first = await hold(nanodollars(10))
    const second = hold(nanodollars(10))
    void ledger.release(first, {}, ENDED)
    expect((await second).maxCost).toBe(10)
  })

  test('a hold that waits two seconds in vain is refused as held, and holds nothing', async () => {
    const { ledger, hold, clock } = openLedger('0.00000001')
    await hold(nanodollars(10))
    const second = hold(nanodollars(10))
    const refused = expect(second).rejects.toMatchObject({ code: 'budget_held', retryAfterS: 1 })
    await clock.advanceAsync(2_000)
    await refused
    expect(ledger.accounts.balance(AGENT)).toMatchObject({ held: 10 })
  })

  test('a hold that waits is abandoned when its caller disconnects', async () => {
    const { ledger, hold } = openLedger('0.00000001')
    await hold(nanodollars(10))
    const caller = new AbortController()
    const second = hold(nanodollars(10), caller.signal)
    caller.abort()
    await expect(second).rejects.toMatchObject({ code: 'budget_held' })
    expect(ledger.accounts.balance(AGENT)).toMatchObject({ held: 10 })
  })

  test('a hold of an agent without a budget is refused', async () => {
    const { ledger } = openLedger('1')
    const request = {
      callId: toCallId('call-1'),
      runId: null,
      kind: 'llm',
      target: 'openai',
      model: null,
      maxCost: nanodollars(1),
    } as const
    await expect(ledger.hold({ ...request, agentId: toAgentId('nobody') })).rejects.toMatchObject({ code: 'not_found' })
  })

  test('a hold on a budget of 0 is refused unless it costs 0', async () => {
    const { hold, ledger } = openLedger('0')
    await expect(hold(nanodollars(1))).rejects.toMatchObject({ code: 'budget_exceeded' })
    expect((await hold(nanodollars(0))).maxCost).toBe(0)
    expect(ledger.accounts.balance(AGENT)).toEqual({ limit: 0, spent: 0, held: 0 })
  })
})

describe('a new limit', () => {
  test('a limit below the spent and held money refuses the next call at once', async () => {
    const { ledger, hold } = openLedger('1')
    const running = await hold(dollars('0.5'))
    ledger.accounts.setLimit(AGENT, dollars('0.4'), 'a test')
    await expect(hold(dollars('0.41'))).rejects.toMatchObject({ code: 'budget_exceeded' })
    expect(ledger.accounts.available({ agentId: AGENT, runId: null })).toBe(0)
    void ledger.charge(running, { cost: dollars('0.5') }, ENDED)
    await expect(hold(nanodollars(1))).rejects.toMatchObject({ code: 'budget_exceeded' })
  })

  test('a new limit that is higher lets a waiting call pass at once', async () => {
    const { ledger, hold } = openLedger('0.00000001')
    await hold(nanodollars(10))
    const waiting = hold(nanodollars(10))
    ledger.accounts.setLimit(AGENT, nanodollars(20), 'a test')
    expect((await waiting).maxCost).toBe(10)
  })

  test('a new limit warns and is exhausted again', async () => {
    const world = openLedger('0.0000001')
    const { ledger, hold, of } = world
    await ledger.charge(await hold(nanodollars(95)), { cost: nanodollars(95) }, ENDED)
    expect(of('budget.warned')).toHaveLength(1)
    await expect(hold(nanodollars(10))).rejects.toMatchObject({ code: 'budget_exceeded' })
    await expect(hold(nanodollars(10))).rejects.toMatchObject({ code: 'budget_exceeded' })
    expect(of('budget.exhausted')).toHaveLength(1)
    ledger.accounts.setLimit(AGENT, nanodollars(200), 'a test')
    await ledger.charge(await hold(nanodollars(100)), { cost: nanodollars(100) }, ENDED)
    expect(of('budget.warned')).toHaveLength(2)
    await expect(hold(nanodollars(10))).rejects.toMatchObject({ code: 'budget_exceeded' })
    expect(of('budget.exhausted')).toHaveLength(2)
  })

  test('a new limit is recorded with its author, and is still there after a restart', () => {
    const store = openStore({ path: ':memory:' })
    const { ledger, of, state } = openLedger('1', store)
    ledger.accounts.setLimit(AGENT, dollars('2.5'), 'operator')
    expect(of('budget.raised').map(({ message, data }) => [message, data])).toEqual([
      ['Budget raised from $1.00 to $2.50 by operator', { from_usd: '1', limit_usd: '2.5', by: 'operator' }],
    ])
    state.close()
    const again = openWorld(store)
    const restarted = new Ledger({ ...again, warnAt: [0.9] })
    expect(restarted.accounts.balance(AGENT)).toEqual({ limit: dollars('2.5'), spent: 0, held: 0 })
  })
})

test('the balance is the sum of all holds, charges, releases and limits in any order', async () => {
  const amount = fc.nat({ max: 1_000 }).map(nanodollars)
  const step = fc.oneof(
    fc.record({ does: fc.constant('hold' as const), amount }),
    fc.record({ does: fc.constant('charge' as const), amount }),
    fc.record({ does: fc.constant('release' as const), amount }),
    fc.record({ does: fc.constant('limit' as const), amount: fc.nat({ max: 5_000 }).map(nanodollars) }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), async (steps) => {
      const { ledger, hold, rows, state, store } = openLedger('0.000003')
      const open: Hold[] = []
      let spent = 0
      let limit = nanodollars(3_000)
      for (const { does, amount } of steps) {
        const held = open.reduce((sum, { maxCost }) => sum + maxCost, 0)
        if (does === 'hold') {
          // A signal that has fired: who does not fit does not wait.
          const taken = await hold(amount, AbortSignal.abort()).catch(() => undefined)
          expect(taken !== undefined).toBe(spent + held + amount <= limit)
          if (taken) open.push(taken)
        } else if (does === 'limit') {
          ledger.accounts.setLimit(AGENT, amount, 'a test')
          limit = amount
        } else {
          const ending = open.splice(amount % Math.max(1, open.length), 1)[0]
          if (!ending) continue
          if (does === 'charge') {
            void ledger.charge(ending, { cost: amount }, ENDED)
            spent += amount
          } else void ledger.release(ending, {}, ENDED)
        }
        const stillHeld = open.reduce((sum, { maxCost }) => sum + maxCost, 0)
        expect(ledger.accounts.balance(AGENT)).toEqual({ limit, spent, held: stillHeld })
      }
      state.close()
      expect(rows().reduce((sum, { cost_nanos }) => sum + cost_nanos, 0)).toBe(spent)
      store.close()
    }),
    { numRuns: 30 },
  )
})

describe('a restarted ledger', () => {
  test('a restarted ledger keeps all spending, and marks calls without an answer as unresolved', async () => {
    const store = openStore({ path: ':memory:' })
    const world = openLedger('1', store)
    await world.ledger.charge(await world.hold(nanodollars(100)), { cost: nanodollars(70) }, ENDED)
    await world.hold(nanodollars(200))
    world.state.close()

    const restarted = new Ledger({ ...openWorld(store), warnAt: [0.9] })
    expect(restarted.recover()).toBe(1)
    expect(restarted.recover()).toBe(0)
    expect(restarted.accounts.balance(AGENT)).toEqual({ limit: dollars('1'), spent: 70, held: 200 })
    expect(world.rows().map(({ state }) => state)).toEqual(['charged', 'unresolved'])
  })
})

describe('each share at which to warn', () => {
  const open = (store = openStore({ path: ':memory:' })) => {
    const world = openWorld(store)
    return { ...world, ledger: new Ledger({ ...world, warnAt: [0.9, 0.5] }) }
  }

  /** Spends through the road's own steps, and returns the shares of which was warned so far. */
  async function spend({ ledger, of }: ReturnType<typeof open>, cents: number) {
    const maxCost = nanodollars(cents * 10_000_000)
    const call = {
      callId: newCallId(),
      agentId: AGENT,
      runId: null,
      kind: 'llm',
      target: 'openai',
      model: 'gpt-4',
      maxCost,
    } as const
    await ledger.charge(await ledger.hold(call), { cost: maxCost }, ENDED)
    return of('budget.warned').map(({ data }) => data.threshold)
  }

  test('each warning share is warned of once, in turn, also after a restart', async () => {
    const world = open()
    world.ledger.accounts.openAccount(AGENT, dollars('1'))
    expect(await spend(world, 40)).toEqual([])
    expect(await spend(world, 11)).toEqual([0.5])
    expect(await spend(world, 9)).toEqual([0.5])
    const again = open(world.store)
    expect(await spend(again, 5)).toEqual([])
    expect(await spend(again, 26)).toEqual([0.9])
  })

  test('a warning share that is passed together with another is one warning, of the higher', async () => {
    const world = open()
    world.ledger.accounts.openAccount(AGENT, dollars('1'))
    expect(await spend(world, 95)).toEqual([0.9])
  })
})
