/** Several budgets that must all pass: the agent's, its run's, the whole server's. */

import { describe, expect, test } from 'vitest'
import { raceRounds } from '../../scripts/soak/races.ts'
import { type Hold, Ledger } from '../../src/budget/ledger.ts'
import { type AgentId, newCallId, type RunId, toAgentId, toRunId } from '../../src/core/ids.ts'
import { add, type Nanodollars, nanodollars, toUsd, usd } from '../../src/core/money.ts'
import { openStore } from '../../src/db/store.ts'
import { limitsOf } from '../../src/state/figures.ts'
import { limitsText } from '../../src/state/figures-text.ts'
import { openWorld } from '../breaker/support.ts'
import fc from '../support/fast-check.ts'
import { dollars } from '../support/money.ts'
import { completedEvent, startedEvent } from './support.ts'

interface Limits {
  agent?: string
  run?: string
  server?: string
}

function openBudgets({ agent = '100', run, server }: Limits, store = openStore({ path: ':memory:' })) {
  const world = openWorld(store)
  const limit = (usd: string | undefined) => (usd === undefined ? undefined : dollars(usd))
  const ledger = new Ledger({ ...world, warnAt: [0.9], perRun: limit(run), server: limit(server) })
  ledger.accounts.announce()
  const { state } = world
  const hold = (agentId: AgentId, runId: RunId | null, maxCost: Nanodollars, signal: AbortSignal | undefined) =>
    ledger.hold({ callId: newCallId(), agentId, runId, kind: 'llm', target: 'openai', model: 'gpt-4', maxCost }, signal)
  return {
    ...world,
    ledger,
    begin: (agentId: AgentId, runId = toRunId('run-1')) => {
      ledger.accounts.openAccount(agentId, dollars(agent))
      state.record(startedEvent(agentId, agent, runId))
    },
    /** Who does not fit does not wait. */
    hold: (agentId: AgentId, runId: RunId | null, usd: string) =>
      hold(agentId, runId, dollars(usd), AbortSignal.abort()),
    waitFor: (agentId: AgentId, runId: RunId | null, usd: string) => hold(agentId, runId, dollars(usd), undefined),
    end: (held: Hold, usd: string) =>
      ledger.charge(held, { cost: dollars(usd) }, completedEvent(held.agentId, usd, held.paidBy)),
    /** The limits that the screen shows beside the agent's own. */
    shown: (agentId: AgentId) =>
      limitsOf(state.read().agents[agentId]!, state.read())
        .slice(1)
        .map(({ scope, spent_usd, limit_usd }) => [scope, spent_usd, limit_usd]),
    spent: (agentId: AgentId, runId: RunId | null) =>
      ledger.accounts.balances({ agentId, runId }).map(({ scope, spent, held }) => [scope, toUsd(spent), toUsd(held)]),
  }
}

describe('a call', () => {
  test.each([
    [
      'agent',
      { agent: '1', run: '5', server: '5' },
      'a-1 needs up to $2.00 but has $1.00 of $1.00 left',
      /budget add a-1 <usd>/,
    ],
    [
      'run',
      { agent: '5', run: '1', server: '5' },
      'a-1 needs up to $2.00 but its run has $1.00 of $1.00 left',
      /restart the agent, .*budget add --run <usd>/,
    ],
    [
      'server',
      { agent: '5', run: '5', server: '1' },
      'a-1 needs up to $2.00 but the server has $1.00 of $1.00 left',
      /budget add --server <usd>/,
    ],
  ] as const)(
    'a call is refused by the budget of the %s when that is the one that cannot pay',
    async (budget, limits, message, hint) => {
      const world = openBudgets(limits)
      world.begin(toAgentId('a-1'))
      const refused = world.hold(toAgentId('a-1'), toRunId('run-1'), '2')
      await expect(refused).rejects.toMatchObject({ code: 'budget_exceeded', message, facts: { budget } })
      await expect(refused).rejects.toMatchObject({ hint: expect.stringMatching(hint) })
      // Nothing is held anywhere, and no row was written.
      expect(world.spent(toAgentId('a-1'), toRunId('run-1')).map(([, spent, held]) => [spent, held])).toEqual(
        Array(3).fill(['0', '0']),
      )
      expect(world.store.orm.$client.prepare('SELECT * FROM ledger').all()).toEqual([])
      expect(world.of('budget.exhausted').map(({ data }) => data.budget ?? 'agent')).toEqual([budget])
      expect(world.state.read().agents['a-1']?.exhausted).toBe(budget === 'agent')
    },
  )

  test('a call is held in all budgets and charged to all of them', async () => {
    const world = openBudgets({ run: '5', server: '5' })
    world.begin(toAgentId('a-1'))
    const held = await world.hold(toAgentId('a-1'), toRunId('run-1'), '2')
    expect(world.spent(toAgentId('a-1'), toRunId('run-1'))).toEqual([
      ['agent', '0', '2'],
      ['run', '0', '2'],
      ['server', '0', '2'],
    ])
    await world.end(held, '1.5')
    expect(world.spent(toAgentId('a-1'), toRunId('run-1'))).toEqual([
      ['agent', '1.5', '0'],
      ['run', '1.5', '0'],
      ['server', '1.5', '0'],
    ])
  })

  test("a call waits for the server's money that another agent holds, and takes it when it comes back", async () => {
    const world = openBudgets({ server: '1' })
    world.begin(toAgentId('a-1'))
    world.begin(toAgentId('a-2'))
    const first = await world.hold(toAgentId('a-1'), toRunId('run-1'), '0.8')
    await expect(world.hold(toAgentId('a-2'), toRunId('run-2'), '0.5')).rejects.toMatchObject({
      code: 'budget_held',
      message: "a-2 needs up to $0.50 while running calls hold $0.80 of the server's budget",
      facts: { budget: 'server' },
    })
    const waiting = world.waitFor(toAgentId('a-2'), toRunId('run-2'), '0.5')
    void world.ledger.release(first, {}, completedEvent(toAgentId('a-1'), '0'))
    expect((await waiting).maxCost).toBe(dollars('0.5'))
    expect(world.ledger.accounts.available({ agentId: toAgentId('a-1'), runId: toRunId('run-1') })).toBe(dollars('0.5'))
  })

  test("a call of a client without a run counts in no run's budget", async () => {
    const world = openBudgets({ run: '1', server: '5' })
    world.begin(toAgentId('a-1'))
    expect((await world.hold(toAgentId('a-1'), null, '3')).maxCost).toBe(dollars('3'))
    expect(world.spent(toAgentId('a-1'), null).map(([scope]) => scope)).toEqual(['agent', 'server'])
  })
})

describe("a run's budget", () => {
  test("a run's budget starts again with the next run, while that of the agent continues", async () => {
    const world = openBudgets({ agent: '3', run: '2' })
    world.begin(toAgentId('a-1'))
    await world.end(await world.hold(toAgentId('a-1'), toRunId('run-1'), '2'), '2')
    await expect(world.hold(toAgentId('a-1'), toRunId('run-1'), '0.1')).rejects.toMatchObject({
      facts: { budget: 'run' },
    })
    await world.end(await world.hold(toAgentId('a-1'), toRunId('run-2'), '1'), '1')
    await expect(world.hold(toAgentId('a-1'), toRunId('run-2'), '0.1')).rejects.toMatchObject({
      facts: { budget: 'agent' },
    })
  })

  test("a run's budget is separate, and a late call of an ended run still counts in it", async () => {
    const world = openBudgets({ run: '1' })
    world.begin(toAgentId('a-1'))
    await world.end(await world.hold(toAgentId('a-1'), toRunId('run-1'), '1'), '1')
    await world.hold(toAgentId('a-1'), toRunId('run-2'), '1')
    await expect(world.hold(toAgentId('a-1'), toRunId('run-1'), '0.01')).rejects.toMatchObject({
      facts: { budget: 'run', spent_usd: '1' },
    })
  })
})

describe("the server's budget", () => {
  test("the server's budget counts the spending of all agents, also after a restart", async () => {
    const store = openStore({ path: ':memory:' })
    const world = openBudgets({ server: '1' }, store)
    world.begin(toAgentId('a-1'))
    world.begin(toAgentId('a-2'))
    await world.end(await world.hold(toAgentId('a-1'), toRunId('run-1'), '0.4'), '0.4')
    await world.end(await world.hold(toAgentId('a-2'), toRunId('run-2'), '0.3'), '0.3')
    await world.hold(toAgentId('a-2'), toRunId('run-2'), '0.1')
    world.state.close()

    const restarted = openBudgets({ server: '1' }, store)
    restarted.ledger.recover()
    expect(restarted.spent(toAgentId('a-1'), null)).toEqual([
      ['agent', '0.4', '0'],
      ['server', '0.7', '0.1'],
    ])
    await expect(restarted.hold(toAgentId('a-1'), null, '0.21')).rejects.toMatchObject({ code: 'budget_held' })
    await restarted.hold(toAgentId('a-1'), null, '0.2')
  })

  test('an exhausted server budget notifies each agent that it stops once, and warns once', async () => {
    const world = openBudgets({ server: '1' })
    world.begin(toAgentId('a-1'))
    world.begin(toAgentId('a-2'))
    await world.end(await world.hold(toAgentId('a-1'), toRunId('run-1'), '1'), '1')
    for (const agent of ['a-1', 'a-2', 'a-2', 'a-1'].map(toAgentId)) {
      await expect(world.hold(agent, null, '0.01')).rejects.toMatchObject({ facts: { budget: 'server' } })
    }
    expect(world.of('budget.exhausted').map(({ agent_id, data }) => [agent_id, data.budget])).toEqual([
      ['a-1', 'server'],
      ['a-2', 'server'],
    ])
    expect(world.of('budget.warned').map(({ data }) => data.budget)).toEqual(['server'])
  })
})

describe('a limit of the configuration', () => {
  test('raising a limit lets a waiting call go on, and a limit below the spending refuses the next call', async () => {
    const world = openBudgets({ server: '1' })
    world.begin(toAgentId('a-1'))
    await world.hold(toAgentId('a-1'), toRunId('run-1'), '0.8')
    const waiting = world.waitFor(toAgentId('a-1'), toRunId('run-1'), '0.5')
    world.ledger.accounts.setConfiguredLimit('server', dollars('1.3'), 'ann')
    await world.end(await waiting, '0.5')
    world.ledger.accounts.setConfiguredLimit('server', dollars('0.4'), 'ann')
    await expect(world.hold(toAgentId('a-1'), toRunId('run-1'), '0.01')).rejects.toMatchObject({
      code: 'budget_exceeded',
      facts: { budget: 'server', limit_usd: '0.4', spent_usd: '0.5' },
    })
    expect(world.of('budget.raised').map(({ agent_id, message, data }) => [agent_id, message, data.budget])).toEqual([
      [null, "The server's budget raised from $1.00 to $1.30 by ann", 'server'],
      [null, "The server's budget lowered from $1.30 to $0.40 by ann", 'server'],
    ])
    expect(world.shown(toAgentId('a-1'))).toEqual([['server', '0.5', '0.4']])
  })

  test('a limit of the configuration is reported and warned about again when it was changed', async () => {
    const world = openBudgets({ server: '1' })
    world.begin(toAgentId('a-1'))
    await world.end(await world.hold(toAgentId('a-1'), toRunId('run-1'), '1'), '1')
    expect(world.of('budget.warned')).toHaveLength(1)
    world.ledger.accounts.setConfiguredLimit('server', dollars('2'), 'ann')
    await world.end(await world.hold(toAgentId('a-1'), toRunId('run-1'), '1'), '1')
    for (const type of ['budget.warned', 'budget.exhausted'] as const) {
      expect(world.of(type).map(({ data }) => [data.budget, data.limit_usd])).toEqual([
        ['server', '1'],
        ['server', '2'],
      ])
    }
  })

  test('a configured limit for runs applies to running and to later runs', async () => {
    const world = openBudgets({ run: '1' })
    world.begin(toAgentId('a-1'))
    await world.hold(toAgentId('a-1'), toRunId('run-1'), '1')
    world.ledger.accounts.setConfiguredLimit('run', dollars('3'), 'ann')
    await world.hold(toAgentId('a-1'), toRunId('run-1'), '2')
    await world.hold(toAgentId('a-1'), toRunId('run-2'), '3')
    await expect(world.hold(toAgentId('a-1'), toRunId('run-2'), '0.1')).rejects.toMatchObject({
      facts: { budget: 'run' },
    })
    expect(world.of('budget.raised').map(({ message }) => message)).toEqual([
      "Each run's budget raised from $1.00 to $3.00 by ann",
    ])
  })

  test.each(['server', 'run'] as const)('a missing limit of the %s cannot be changed', (scope) => {
    const { ledger, of } = openBudgets({})
    expect(() => ledger.accounts.setConfiguredLimit(scope, nanodollars(1), 'ann')).toThrow(
      expect.objectContaining({ code: 'conflict', hint: expect.stringMatching(/budget\.(server|per_run)_usd/) }),
    )
    expect([of('budget.raised'), of('budget.opened')]).toEqual([[], []])
  })

  test.each([
    ['holds on', '1', '5'],
    ['gives way to another value in the configuration', '2', '2'],
    ['is gone when the configuration has none', undefined, undefined],
  ] as const)('a changed limit of the configuration %s after a restart', (_what, configured, expected) => {
    const store = openStore({ path: ':memory:' })
    const start = (usd: string | undefined) => {
      const world = openBudgets({ server: usd, run: usd }, store)
      world.begin(toAgentId('a-1'))
      const limits = world.ledger.accounts
        .balances({ agentId: toAgentId('a-1'), runId: toRunId('run-1') })
        .map(({ limit }) => toUsd(limit))
      expect(limits.slice(1)).toEqual(world.shown(toAgentId('a-1')).map(([, , limit]) => limit))
      return { ...world, limits: limits.slice(1), end: () => [world.ledger.close(), world.state.close()] }
    }
    const first = start('1')
    for (const scope of ['server', 'run'] as const) first.ledger.accounts.setConfiguredLimit(scope, dollars('5'), 'ann')
    first.end()
    for (let restarts = 1; restarts <= 2; restarts++) {
      const next = start(configured)
      expect(next.limits).toEqual(expected === undefined ? [] : [expected, expected])
      next.end()
    }
    // A later change of the file prevails.
    const last = start('1')
    expect(last.limits).toEqual(expected === '5' ? ['5', '5'] : ['1', '1'])
    last.end()
  })

  test('a changed limit is reported beside the configured one', () => {
    const store = openStore({ path: ':memory:' })
    openBudgets({ server: '1', run: '2' }, store).ledger.accounts.setConfiguredLimit('server', dollars('5'), 'ann')
    const { of } = openBudgets({ server: '1', run: '2' }, store)
    expect(of('budget.opened').map(({ message }) => message)).toEqual([
      "The server's budget: $0.00 / $5.00 (changed; the configuration says $1.00) · Each run's budget: $2.00",
    ])
  })
})

describe('the screen', () => {
  test('the screen agrees with the ledger on each limit after late calls, corrections and a restart', async () => {
    const store = openStore({ path: ':memory:' })
    const world = openBudgets({ run: '5', server: '9' }, store)
    const same = (runId: RunId) => {
      const budgets = world.ledger.accounts.balances({ agentId: toAgentId('a-1'), runId }).slice(1)
      expect(world.shown(toAgentId('a-1'))).toEqual(
        budgets.map(({ scope, spent, limit }) => [scope, toUsd(spent), toUsd(limit)]),
      )
    }
    world.begin(toAgentId('a-1'))
    const late = await world.hold(toAgentId('a-1'), toRunId('run-1'), '1')
    const first = await world.hold(toAgentId('a-1'), toRunId('run-1'), '1')
    await world.end(first, '0.7')
    same(toRunId('run-1'))
    world.state.record(startedEvent(toAgentId('a-1'), '100', toRunId('run-2')))
    same(toRunId('run-2'))
    await world.end(late, '0.9')
    await world.end(await world.hold(toAgentId('a-1'), toRunId('run-2'), '1'), '0.25')
    same(toRunId('run-2'))
    world.ledger.correct({
      agentId: toAgentId('a-1'),
      callId: first.callId,
      cost: dollars('0.5'),
      reason: 'invoice',
      by: 'ann',
    })
    same(toRunId('run-2'))
    expect(world.shown(toAgentId('a-1'))).toEqual([
      ['run', '0.25', '5'],
      ['server', '1.65', '9'],
    ])
    world.state.close()
    expect(openBudgets({ run: '5', server: '9' }, store).shown(toAgentId('a-1'))).toContainEqual([
      'server',
      '1.65',
      '9',
    ])
  })

  test.each([
    [['5', '1'], null, null, null],
    [['5', '1'], null, ['100', '12.4'], "server $12.40 of $100.00 · the agent's limit is reached first"],
    [
      ['50', '1'],
      ['20', '3.1'],
      ['10', '9'],
      "run $3.10 of $20.00 · server $9.00 of $10.00 · the server's limit is reached first",
    ],
    [['50', '1'], ['3', '3'], ['10', '9'], "run $3.00 of $3.00 · server $9.00 of $10.00 · the run's limit is reached"],
  ] as const)('the screen names the one of %j %j %j that is reached first', (agent, run, server, line) => {
    const limits = Object.entries({ agent, run, server }).flatMap(([scope, amounts]) =>
      amounts ? [{ scope: scope as 'agent', limit_usd: usd(amounts[0]), spent_usd: usd(amounts[1]) }] : [],
    )
    expect(limitsText(limits)).toBe(line)
  })
})

test('two hundred times two hundred calls on the last cent overspend nothing, whichever budget is the tight one', async () => {
  expect(await raceRounds(200)).toEqual({ overspentNanos: 0, held: 0, admitted: [2] })
})

test('no budget exceeds its limit under any order of agents, runs and limit changes', async () => {
  const agent = fc.constantFrom('a-1', 'a-2', 'a-3').map(toAgentId)
  const run = fc.constantFrom(toRunId('run-1'), toRunId('run-2'), null)
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
    {
      weight: 1,
      arbitrary: fc.record({
        does: fc.constant('limit' as const),
        scope: fc.constantFrom('run' as const, 'server' as const),
        usd: fc.integer({ min: 0, max: 200 }),
      }),
    },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
      const world = openBudgets({ agent: '100', run: '90', server: '150' })
      for (const id of ['a-1', 'a-2', 'a-3'].map(toAgentId)) world.begin(id)
      const open: Hold[] = []
      const ended: Promise<void>[] = []
      const paid: { agentId: AgentId; runId: RunId | null; cost: number }[] = []
      const counted = new Map<string, Nanodollars>()
      for (const does of steps) {
        if (does.does === 'limit') {
          world.ledger.accounts.setConfiguredLimit(does.scope, dollars(String(does.usd)), 'ann')
        } else if (does.does === 'hold') {
          const hold = await world.hold(does.agent, does.run, String(does.usd)).catch(() => undefined)
          if (hold) open.push(hold)
        } else {
          const [hold] = open.splice(does.which % Math.max(1, open.length), 1)
          if (!hold) continue
          const cost = nanodollars(Math.floor(hold.maxCost * does.share))
          ended.push(world.end(hold, toUsd(cost)))
          paid.push({ ...hold, cost })
        }
        for (const agentId of ['a-1', 'a-2', 'a-3'].map(toAgentId)) {
          for (const runId of [toRunId('run-1'), toRunId('run-2'), null]) {
            for (const { scope, limit, spent, held } of world.ledger.accounts.balances({ agentId, runId })) {
              const isOf = (call: { agentId: AgentId; runId: RunId | null }) =>
                scope === 'server' || (scope === 'agent' ? call.agentId === agentId : call.runId === runId)
              expect(spent).toBe(paid.filter(isOf).reduce((sum, { cost }) => sum + cost, 0))
              expect(held).toBe(open.filter(isOf).reduce((sum, { maxCost }) => sum + maxCost, 0))
              // A limit may be lowered below the counted amount, and nothing is added then.
              const name = `${scope} ${scope === 'agent' ? agentId : scope === 'run' ? runId : ''}`
              expect(spent + held).toBeLessThanOrEqual(Math.max(limit, counted.get(name) ?? 0))
              counted.set(name, add(spent, held))
            }
          }
        }
      }
      await Promise.all(ended)
      world.store.close()
    }),
    { numRuns: 20 },
  )
})
