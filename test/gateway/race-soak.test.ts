/**
 * What `scripts/soak` does for long, for short: the real server, random disconnects, random kills. And races over HTTP in
 * which several agents share one budget.
 */

import { expect, test } from 'vitest'
import { disconnectRounds } from '../../scripts/soak/disconnects.ts'
import { killRounds } from '../../scripts/soak/kills.ts'
import { dollars } from '../support/money.ts'
import { answer } from '../support/provider.ts'
import { openTestRuntime, patientClock } from '../support/runtime.ts'

test('three hundred calls whose clients leave and whose provider breaks off, at random, leave nothing held or uncounted', async () => {
  const { faults, heldInTheEnd, seen, ends } = await disconnectRounds(300)
  expect(faults).toEqual([])
  expect(heldInTheEnd).toBe(0)
  // It was not all refused, nor all polite.
  expect(seen).toBeGreaterThan(30)
  expect(ends.left).toBeGreaterThan(10)
  expect(ends[502]).toBeGreaterThan(0)
})

test('killed five times at random under fifty calls, the ledger has each call that the provider saw, once', async () => {
  const { kills, faults, seen, charged, unresolved } = await killRounds(5)
  expect(faults).toEqual([])
  expect(kills).toBe(5)
  expect(seen).toBeGreaterThan(0)
  expect(charged + unresolved).toBeGreaterThanOrEqual(seen)
})

test.each(['agent', 'run', 'server'])(
  'two hundred calls race five times for the last cent of the %s, and two are paid',
  async (tight) => {
    const budget = { per_run_usd: tight === 'run' ? '0.01' : '5', server_usd: tight === 'server' ? '0.05' : '50' }
    const cage = await openTestRuntime({ budget, clock: patientClock })
    cage.provider.does(answer({ usage: { prompt_tokens: 1, completion_tokens: 4 } }))
    for (let race = 1; race <= 5; race++) {
      // Two agents where they share it.
      const limit = tight === 'agent' ? '0.01' : '50'
      const agents =
        tight === 'server' ? [cage.addAgent({ limit }), cage.addAgent({ limit })] : [cage.addAgent({ limit })]
      const calls = Array.from({ length: 200 }, (_, number) => agents[number % agents.length]!.chat({ max_tokens: 4 }))
      const statuses = (await Promise.all(calls)).map(({ status }) => status)
      const rows = cage.rows()
      const spent = rows.reduce((sum, { cost_nanos }) => sum + cost_nanos, 0)
      if (tight === 'server') {
        // Five cents are for ever: twelve calls are paid in the first race, and none in the others.
        expect(statuses.filter((status) => status === 200)).toHaveLength(race === 1 ? 12 : 0)
        expect(spent).toBe(dollars('0.048'))
      } else {
        expect(statuses.filter((status) => status === 200)).toHaveLength(2)
        expect(spent).toBe(race * dollars('0.008'))
      }
      expect(statuses.every((status) => status === 200 || status === 402)).toBe(true)
      expect(rows.every(({ state }) => state === 'charged')).toBe(true)
      expect(cage.provider.requests).toHaveLength(rows.length)
    }
  },
)
