/** Several budgets that must all pass: the agent's, its run's, the whole server's. */
import { describe, expect, test } from 'vitest'
import { raceRounds } from '../../scripts/soak/races.ts'
import { type Hold, Ledger } from '../../src/budget/ledger.ts'
import { openDatabase } from '../../src/db/database.ts'
import { newCallId } from '../../src/ids.ts'
import { fromUsd, type Nanodollars, toUsd } from '../../src/money.ts'
import { openWorld } from '../breaker/support.ts'
import fc from '../support/fast-check.ts'
import { completedEvent, startedEvent } from './support.ts'

interface Limits {
  agent?: string
  run?: string
  server?: string
}

function openBudgets({ agent = '100', run, server }: Limits, database = openDatabase({ path: ':memory:' })) {
  const world = openWorld(database)
  const limit = (usd: string | undefined) => (usd === undefined ? undefined : fromUsd(usd))
  const ledger = new Ledger({ ...world, warnAt: [0.9], perRun: limit(run), server: limit(server) })
  const { state } = world
  const hold = (agentId: string, runId: string | null, most: Nanodollars, signal: AbortSignal | undefined) =>
    ledger.hold({ callId: newCallId(), agentId, runId, kind: 'llm', target: 'openai', model: 'gpt-4', most }, signal)
  return {
    ...world,
    ledger,
    begin: (agentId: string, runId = 'run-1') => {
      ledger.openAccount(agentId, fromUsd(agent))
      state.record(startedEvent(agentId, agent, runId))
    },
    /** Who does not fit does not wait. */
    hold: (agentId: string, runId: string | null, usd: string) =>
      hold(agentId, runId, fromUsd(usd), AbortSignal.abort()),
    waitFor: (agentId: string, runId: string | null, usd: string) => hold(agentId, runId, fromUsd(usd), undefined),
    end: (held: Hold, usd: string) =>
      state.record(completedEvent(held.agentId, usd), ledger.charge(held, { cost: fromUsd(usd) }).write),
    spent: (agentId: string, runId: string | null) =>
      ledger.balances({ agentId, runId }).map(({ scope, spent, held }) => [scope, toUsd(spent), toUsd(held)]),
  }
}

describe('a call', () => {
  test.each([
    ['agent', { agent: '1', run: '5', server: '5' }, 'a-1 needs up to $2.00 but has $1.00 of $1.00 left', /budget add/],
    [
      'run',
      { agent: '5', run: '1', server: '5' },
      'a-1 needs up to $2.00 but its run has $1.00 of $1.00 left',
      /per_run_usd/,
    ],
    [
      'server',
      { agent: '5', run: '5', server: '1' },
      'a-1 needs up to $2.00 but the server has $1.00 of $1.00 left',
      /server_usd/,
    ],
  ] as const)(
    'is refused by the budget of the %s when that is the one that cannot pay',
    async (budget, limits, message, hint) => {
      const world = openBudgets(limits)
      world.begin('a-1')
      const refused = world.hold('a-1', 'run-1', '2')
      await expect(refused).rejects.toMatchObject({ code: 'budget_exceeded', message, facts: { budget } })
      await expect(refused).rejects.toMatchObject({ hint: expect.stringMatching(hint) })
      // Nothing is held anywhere, and no row was written.
      expect(world.spent('a-1', 'run-1').map(([, spent, held]) => [spent, held])).toEqual(Array(3).fill(['0', '0']))
      expect(world.database.orm.$client.prepare('SELECT * FROM calls').all()).toEqual([])
      expect(world.of('budget.exhausted').map(({ data }) => data.budget ?? 'agent')).toEqual([budget])
      expect(world.state.read().agents['a-1']?.exhausted).toBe(budget === 'agent')
    },
  )

  test('is held in all budgets and charged to all of them', async () => {
    const world = openBudgets({ run: '5', server: '5' })
    world.begin('a-1')
    const held = await world.hold('a-1', 'run-1', '2')
    expect(world.spent('a-1', 'run-1')).toEqual([
      ['agent', '0', '2'],
      ['run', '0', '2'],
      ['server', '0', '2'],
    ])
    world.end(held, '1.5')
    expect(world.spent('a-1', 'run-1')).toEqual([
      ['agent', '1.5', '0'],
      ['run', '1.5', '0'],
      ['server', '1.5', '0'],
    ])
  })

  test('waits for what another agent holds of the server, and takes it when it comes back', async () => {
    const world = openBudgets({ server: '1' })
    world.begin('a-1')
    world.begin('a-2')
    const first = await world.hold('a-1', 'run-1', '0.8')
    await expect(world.hold('a-2', 'run-2', '0.5')).rejects.toMatchObject({
      code: 'budget_held',
      facts: { budget: 'server' },
    })
    const waiting = world.waitFor('a-2', 'run-2', '0.5')
    world.ledger.release(first)
    expect((await waiting).most).toBe(fromUsd('0.5'))
    expect(world.ledger.available({ agentId: 'a-1', runId: 'run-1' })).toBe(fromUsd('0.5'))
  })

  test('of a client without a run is not the business of a run', async () => {
    const world = openBudgets({ run: '1', server: '5' })
    world.begin('a-1')
    expect((await world.hold('a-1', null, '3')).most).toBe(fromUsd('3'))
    expect(world.spent('a-1', null).map(([scope]) => scope)).toEqual(['agent', 'server'])
  })
})

describe("a run's budget", () => {
  test('begins anew with the next run, while that of the agent goes on', async () => {
    const world = openBudgets({ agent: '3', run: '2' })
    world.begin('a-1')
    world.end(await world.hold('a-1', 'run-1', '2'), '2')
    await expect(world.hold('a-1', 'run-1', '0.1')).rejects.toMatchObject({ facts: { budget: 'run' } })
    world.end(await world.hold('a-1', 'run-2', '1'), '1')
    await expect(world.hold('a-1', 'run-2', '0.1')).rejects.toMatchObject({ facts: { budget: 'agent' } })
  })

  test('is not that of another run, and a late call of one that has ended is still its own', async () => {
    const world = openBudgets({ run: '1' })
    world.begin('a-1')
    world.end(await world.hold('a-1', 'run-1', '1'), '1')
    await world.hold('a-1', 'run-2', '1')
    await expect(world.hold('a-1', 'run-1', '0.01')).rejects.toMatchObject({ facts: { budget: 'run', spent_usd: '1' } })
  })
})

describe("the server's budget", () => {
  test('counts what all agents spend, and after a restart what they have spent', async () => {
    const database = openDatabase({ path: ':memory:' })
    const world = openBudgets({ server: '1' }, database)
    world.begin('a-1')
    world.begin('a-2')
    world.end(await world.hold('a-1', 'run-1', '0.4'), '0.4')
    world.end(await world.hold('a-2', 'run-2', '0.3'), '0.3')
    await world.hold('a-2', 'run-2', '0.1')
    world.state.close()

    const restarted = openBudgets({ server: '1' }, database)
    restarted.ledger.recover()
    expect(restarted.spent('a-1', null)).toEqual([
      ['agent', '0.4', '0'],
      ['server', '0.7', '0.1'],
    ])
    await expect(restarted.hold('a-1', null, '0.21')).rejects.toMatchObject({ code: 'budget_held' })
    await restarted.hold('a-1', null, '0.2')
  })

  test('that is used up is told once to each agent that it stops, and warned of once', async () => {
    const world = openBudgets({ server: '1' })
    world.begin('a-1')
    world.begin('a-2')
    world.end(await world.hold('a-1', 'run-1', '1'), '1')
    for (const agent of ['a-1', 'a-2', 'a-2', 'a-1']) {
      await expect(world.hold(agent, null, '0.01')).rejects.toMatchObject({ facts: { budget: 'server' } })
    }
    expect(world.of('budget.exhausted').map(({ agent_id, data }) => [agent_id, data.budget])).toEqual([
      ['a-1', 'server'],
      ['a-2', 'server'],
    ])
    expect(world.of('budget.warned').map(({ data }) => data.budget)).toEqual(['server'])
  })
})

test('a thousand times two hundred calls on the last cent overspend nothing, whichever budget is the tight one', async () => {
  expect(await raceRounds(1_000)).toEqual({ overspentNanos: 0, held: 0, admitted: [2] })
})

test('whatever agents and runs do in whatever order, no budget is ever above its limit', async () => {
  const agent = fc.constantFrom('a-1', 'a-2', 'a-3')
  const run = fc.constantFrom('run-1', 'run-2', null)
  const step = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({ does: fc.constant('hold' as const), agent, run, usd: fc.integer({ min: 1, max: 60 }) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        does: fc.constant('end' as const),
        which: fc.nat(100),
        share: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
    },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
      const world = openBudgets({ agent: '100', run: '90', server: '150' })
      for (const id of ['a-1', 'a-2', 'a-3']) world.begin(id)
      const open: Hold[] = []
      const paid: { agentId: string; runId: string | null; cost: number }[] = []
      for (const does of steps) {
        if (does.does === 'hold') {
          const hold = await world.hold(does.agent, does.run, String(does.usd)).catch(() => undefined)
          if (hold) open.push(hold)
        } else {
          const [hold] = open.splice(does.which % Math.max(1, open.length), 1)
          if (!hold) continue
          const cost = Math.floor(hold.most * does.share)
          world.ledger.charge(hold, { cost }).write()
          paid.push({ ...hold, cost })
        }
        for (const agentId of ['a-1', 'a-2', 'a-3']) {
          for (const runId of ['run-1', 'run-2', null]) {
            for (const { scope, limit, spent, held } of world.ledger.balances({ agentId, runId })) {
              const isOf = (call: { agentId: string; runId: string | null }) =>
                scope === 'server' || (scope === 'agent' ? call.agentId === agentId : call.runId === runId)
              expect(spent).toBe(paid.filter(isOf).reduce((sum, { cost }) => sum + cost, 0))
              expect(held).toBe(open.filter(isOf).reduce((sum, { most }) => sum + most, 0))
              expect(spent + held).toBeLessThanOrEqual(limit)
            }
          }
        }
      }
      world.database.close()
    }),
    { numRuns: 20 },
  )
})
