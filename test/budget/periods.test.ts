/** Days and months of a zone, and limits that hold for one of them. */

import { describe, expect, test } from 'vitest'
import { Ledger } from '../../src/budget/ledger.ts'
import { periodsOf } from '../../src/budget/period.ts'
import { newCallId, toAgentId } from '../../src/core/ids.ts'
import { nanodollars, toUsd } from '../../src/core/money.ts'
import { openStore } from '../../src/db/store.ts'
import { spentOfLimit } from '../../src/state/figures.ts'
import { shownFigures } from '../../src/state/figures-text.ts'
import { openWorld } from '../breaker/support.ts'
import fc from '../support/fast-check.ts'
import { dollars } from '../support/money.ts'
import { completedEvent, startedEvent } from './support.ts'

const HOUR_MS = 3_600_000
const ZONES = [
  'UTC',
  'Europe/Warsaw',
  'America/New_York',
  'Asia/Kolkata',
  'Pacific/Kiritimati',
  'Pacific/Apia',
] as const

const shown = (every: 'day' | 'month', time_zone: string, at: string) => {
  const { startsAt, endsAt } = periodsOf({ every, time_zone })(Date.parse(at))
  return [new Date(startsAt).toISOString(), new Date(endsAt).toISOString(), (endsAt - startsAt) / HOUR_MS]
}

describe('a period', () => {
  test.each([
    ['a day of UTC', 'day', 'UTC', '2026-01-02T03:04:05Z', '2026-01-02T00:00:00.000Z', '2026-01-03T00:00:00.000Z', 24],
    [
      'its first moment',
      'day',
      'UTC',
      '2026-01-02T00:00:00Z',
      '2026-01-02T00:00:00.000Z',
      '2026-01-03T00:00:00.000Z',
      24,
    ],
    [
      'its last moment',
      'day',
      'UTC',
      '2026-01-02T23:59:59.999Z',
      '2026-01-02T00:00:00.000Z',
      '2026-01-03T00:00:00.000Z',
      24,
    ],
    [
      'a winter day of Warsaw',
      'day',
      'Europe/Warsaw',
      '2026-01-01T23:30:00Z',
      '2026-01-01T23:00:00.000Z',
      '2026-01-02T23:00:00.000Z',
      24,
    ],
    [
      'the day that Warsaw loses an hour',
      'day',
      'Europe/Warsaw',
      '2026-03-29T12:00:00Z',
      '2026-03-28T23:00:00.000Z',
      '2026-03-29T22:00:00.000Z',
      23,
    ],
    [
      'the day that Warsaw gets it back, between both two o’clocks',
      'day',
      'Europe/Warsaw',
      '2026-10-25T00:30:00Z',
      '2026-10-24T22:00:00.000Z',
      '2026-10-25T23:00:00.000Z',
      25,
    ],
    [
      'the second two o’clock',
      'day',
      'Europe/Warsaw',
      '2026-10-25T01:30:00Z',
      '2026-10-24T22:00:00.000Z',
      '2026-10-25T23:00:00.000Z',
      25,
    ],
    [
      'a day that begins at one o’clock, as there is no midnight in Cairo',
      'day',
      'Africa/Cairo',
      '2026-04-24T12:00:00Z',
      '2026-04-23T22:00:00.000Z',
      '2026-04-24T21:00:00.000Z',
      23,
    ],
    [
      'a day whose first hour comes twice in Havana',
      'day',
      'America/Havana',
      '2026-11-01T05:30:00Z',
      '2026-11-01T04:00:00.000Z',
      '2026-11-02T05:00:00.000Z',
      25,
    ],
    [
      'the day before the one that Apia left out',
      'day',
      'Pacific/Apia',
      '2011-12-30T09:00:00Z',
      '2011-12-29T10:00:00.000Z',
      '2011-12-30T10:00:00.000Z',
      24,
    ],
    [
      'the day after it',
      'day',
      'Pacific/Apia',
      '2011-12-30T10:00:00Z',
      '2011-12-30T10:00:00.000Z',
      '2011-12-31T10:00:00.000Z',
      24,
    ],
    [
      'a month in which Warsaw loses an hour',
      'month',
      'Europe/Warsaw',
      '2026-03-31T21:59:59Z',
      '2026-02-28T23:00:00.000Z',
      '2026-03-31T22:00:00.000Z',
      743,
    ],
    [
      'a February of a leap year',
      'month',
      'UTC',
      '2028-02-29T12:00:00Z',
      '2028-02-01T00:00:00.000Z',
      '2028-03-01T00:00:00.000Z',
      696,
    ],
    [
      'the last month of a year, which began there already',
      'month',
      'Asia/Kolkata',
      '2026-12-31T18:29:59Z',
      '2026-11-30T18:30:00.000Z',
      '2026-12-31T18:30:00.000Z',
      744,
    ],
  ] as const)('%s', (_, every, zone, at, ...expected) => {
    expect(shown(every, zone, at)).toEqual(expected)
  })

  test('a period holds its moment, and the next one begins where it ends', () => {
    const moment = fc.integer({ min: Date.parse('1990-01-01'), max: Date.parse('2045-01-01') })
    fc.assert(
      fc.property(fc.constantFrom(...ZONES), fc.constantFrom('day', 'month'), moment, (time_zone, every, now) => {
        const periodAt = periodsOf({ every, time_zone })
        const { startsAt, endsAt } = periodAt(now)
        expect(startsAt <= now && now < endsAt).toBe(true)
        expect(periodAt(startsAt)).toEqual({ startsAt, endsAt })
        expect(periodAt(endsAt - 1)).toEqual({ startsAt, endsAt })
        expect(periodAt(endsAt).startsAt).toBe(endsAt)
      }),
      { numRuns: 60 },
    )
  })

  test('an unknown time zone has no periods', () => {
    expect(() => periodsOf({ every: 'day', time_zone: 'Europe/Atlantis' })).toThrow(RangeError)
  })
})

const AGENT = toAgentId('lg-7a3f9c2d')

/** It is 2026-01-02 04:04:05 in Warsaw. */
function openDaily(limit = '1', store = openStore({ path: ':memory:' })) {
  const world = openWorld(store)
  const period = { every: 'day', time_zone: 'Europe/Warsaw' } as const
  const ledger = new Ledger({ ...world, warnAt: [0.9], period, server: dollars('1.5') })
  const { state, clock } = world
  return {
    ...world,
    ledger,
    begin: () => {
      ledger.accounts.openAccount(AGENT, dollars(limit))
      state.record(startedEvent(AGENT, limit))
    },
    hold: (usd: string) =>
      ledger.hold(
        {
          callId: newCallId(),
          agentId: AGENT,
          runId: null,
          kind: 'llm',
          target: 'openai',
          model: 'gpt-4',
          maxCost: dollars(usd),
        },
        AbortSignal.abort(),
      ),
    /** Charges as the road does, and returns the call. */
    pay: async (usd: string) => {
      const callId = newCallId()
      const request = { agentId: AGENT, runId: null, kind: 'llm', target: 'openai', model: 'gpt-4' } as const
      const hold = await ledger.hold({ ...request, callId, maxCost: dollars(usd) }, AbortSignal.abort())
      await ledger.charge(hold, { cost: dollars(usd) }, completedEvent(AGENT, usd))
      return callId
    },
    balance: () => {
      const { spent, held } = ledger.accounts.balance(AGENT)
      return { spent: toUsd(spent), held: toUsd(held) }
    },
    view: () => state.read().agents[AGENT]!,
    /** Or until so many ms before it. */
    toMidnight: (beforeMs = 0) => clock.advance(Date.parse('2026-01-02T23:00:00Z') - beforeMs - clock.now()),
  }
}

describe('a limit for a day', () => {
  test('a limit for a day starts again at midnight, and not before', async () => {
    const world = openDaily()
    world.begin()
    await world.pay('1')
    await expect(world.pay('0.1')).rejects.toMatchObject({
      code: 'budget_exceeded',
      facts: { budget: 'agent', until: '2026-01-02T23:00:00.000Z' },
      message: `${AGENT} needs up to $0.10 but has $0.00 of $1.00 left until 2026-01-02T23:00:00.000Z`,
    })
    world.toMidnight(1)
    await expect(world.pay('0.1')).rejects.toMatchObject({ code: 'budget_exceeded' })
    world.clock.advance(1)
    await world.pay('0.4')
    expect(world.balance()).toEqual({ spent: '0.4', held: '0' })
    const began = world.of('budget.period_began')
    expect(began.map(({ agent_id, data }) => [agent_id, data.starts_at, data.spent_before_usd])).toEqual([
      [AGENT, '2026-01-01T23:00:00.000Z', '0'],
      [AGENT, '2026-01-02T23:00:00.000Z', '1'],
      [null, '2026-01-02T23:00:00.000Z', '1'],
    ])
    // The server's was there anew as well.
    expect(world.ledger.accounts.balances({ agentId: AGENT, runId: null })).toMatchObject([
      { scope: 'agent', spent: dollars('0.4') },
      { scope: 'server', spent: dollars('0.4') },
    ])
  })

  test('a limit for a day warns and is exhausted again each day', async () => {
    const world = openDaily()
    world.begin()
    await world.pay('1')
    expect([world.view().warned, world.view().exhausted]).toEqual([true, true])
    world.toMidnight()
    await world.pay('0.1')
    expect([world.view().warned, world.view().exhausted]).toEqual([false, false])
    await world.pay('0.9')
    expect(world.of('budget.warned')).toHaveLength(2)
    expect(world.of('budget.exhausted').filter(({ data }) => !data.budget)).toHaveLength(2)
  })

  test('a limit for a day counts a call in the day in which its money was held, with its correction, and after a restart', async () => {
    const store = openStore({ path: ':memory:' })
    const world = openDaily('1', store)
    world.begin()
    const overnight = await world.hold('0.7')
    world.toMidnight()
    expect(world.balance()).toEqual({ spent: '0', held: '0' })
    const today = await world.hold('0.9')
    await world.ledger.charge(overnight, { cost: dollars('0.6') }, completedEvent(AGENT, '0.6'))
    expect(world.balance()).toEqual({ spent: '0', held: '0.9' })
    expect([world.view().spent_usd, spentOfLimit(world.view())]).toEqual(['0.6', '0'])
    await world.ledger.charge(today, { cost: dollars('0.5') }, completedEvent(AGENT, '0.5'))
    const { callId } = overnight
    world.ledger.correct({ agentId: AGENT, callId, cost: dollars('0.2'), reason: 'less', by: 'a test' })
    expect(world.balance()).toEqual({ spent: '0.5', held: '0' })
    expect([world.view().spent_usd, spentOfLimit(world.view())]).toEqual(['0.7', '0.5'])
    expect(world.ledger.accounts.serverBalance()).toMatchObject({ spent: dollars('0.5'), held: 0 })
    world.ledger.close()
    world.state.close()
    const restarted = openDaily('1', store)
    restarted.clock.setWall(world.clock.now() - restarted.clock.now())
    expect(restarted.balance()).toEqual({ spent: '0.5', held: '0' })
  })

  test('the limit of a new day is free of holds that a killed server left on the day before', async () => {
    const store = openStore({ path: ':memory:' })
    const world = openDaily('1', store)
    world.begin()
    const { callId } = await world.hold('0.7')
    world.toMidnight()
    world.ledger.close()
    world.state.close()
    const restarted = openDaily('1', store)
    restarted.clock.setWall(world.clock.now() - restarted.clock.now())
    restarted.ledger.begin()
    expect(restarted.balance()).toEqual({ spent: '0', held: '0' })
    restarted.ledger.resolve({ agentId: AGENT, callId, cost: dollars('0.6'), by: 'a test' })
    expect(restarted.balance()).toEqual({ spent: '0', held: '0' })
    expect([restarted.view().spent_usd, spentOfLimit(restarted.view())]).toEqual(['0.6', '0'])
  })

  test('a limit for a day lets a call pass that waits over midnight', async () => {
    const world = openDaily()
    world.begin()
    await world.pay('0.5')
    await world.hold('0.4')
    const callId = newCallId()
    const request = { callId, agentId: AGENT, runId: null, kind: 'llm', target: 'openai', model: null } as const
    const waiting = world.ledger.hold({ ...request, maxCost: dollars('0.5') })
    world.toMidnight()
    world.ledger.accounts.balance(AGENT)
    expect((await waiting).maxCost).toBe(dollars('0.5'))
  })

  test('setting the clock back over midnight does not renew the limit of a day', async () => {
    const world = openDaily()
    world.begin()
    world.toMidnight()
    await world.pay('0.8')
    world.clock.setWall(-2 * HOUR_MS)
    expect(world.balance()).toEqual({ spent: '0.8', held: '0' })
    await expect(world.pay('0.3')).rejects.toMatchObject({ code: 'budget_exceeded' })
    // A charge made now counts today, and its row records that for a server that starts later.
    await world.pay('0.1')
    const today = '2026-01-02T23:00:00.000Z'
    const dates = world.store.orm.$client.prepare('SELECT ended_at FROM calls').pluck().all()
    expect(dates).toEqual([today, today])
  })

  test('a limit for a day is the same in the ledger, the snapshot and the figures, and after a restart', async () => {
    const store = openStore({ path: ':memory:' })
    const world = openDaily('1', store)
    world.begin()
    await world.pay('0.9')
    world.toMidnight()
    await world.pay('0.25')
    expect(world.balance().spent).toBe('0.25')
    expect([world.view().spent_usd, spentOfLimit(world.view())]).toEqual(['1.15', '0.25'])
    expect(shownFigures(world.view(), world.clock.now())).toMatchObject({ spent: '$0.25 / $1.00', used: '25.0% used' })
    world.ledger.close()
    world.state.close()

    const restarted = openDaily('1', store)
    restarted.clock.setWall(world.clock.now() - restarted.clock.now())
    // It was opened on the day before, as its clock begins there; the time that came since turns the day.
    expect(restarted.balance().spent).toBe('0.25')
    expect(spentOfLimit(restarted.view())).toBe('0.25')
    await restarted.pay('0.05')
    expect([restarted.balance().spent, spentOfLimit(restarted.view())]).toEqual(['0.3', '0.3'])
  })

  test('a limit for a day gets nothing back for a correction of yesterday, which counts yesterday', async () => {
    const world = openDaily()
    world.begin()
    const yesterday = await world.pay('0.9')
    world.toMidnight()
    const today = await world.pay('0.5')
    world.ledger.correct({ agentId: AGENT, callId: yesterday, cost: nanodollars(0), reason: 'twice', by: 'a test' })
    expect(world.balance().spent).toBe('0.5')
    expect([world.view().spent_usd, spentOfLimit(world.view())]).toEqual(['0.5', '0.5'])
    world.ledger.correct({ agentId: AGENT, callId: today, cost: dollars('0.2'), reason: 'less', by: 'a test' })
    expect(world.balance().spent).toBe('0.2')
    expect([world.view().spent_usd, spentOfLimit(world.view())]).toEqual(['0.2', '0.2'])
  })

  test('a limit for a day is recorded at midnight without a call', async () => {
    const world = openDaily()
    world.begin()
    await world.pay('1')
    const begun = () => world.of('budget.period_began').map(({ data }) => data.starts_at)
    world.toMidnight(1)
    expect(begun()).not.toContain('2026-01-02T23:00:00.000Z')
    world.clock.advance(1)
    expect(begun()).toContain('2026-01-02T23:00:00.000Z')
  })
})
