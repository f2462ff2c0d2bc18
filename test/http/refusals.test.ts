import { describe, expect, test } from 'vitest'
import type { NewEvent } from '../../src/core/events.ts'
import { Refusals } from '../../src/http/refusals.ts'
import type { StateManager } from '../../src/state/state-manager.ts'
import { TestClock } from '../support/clock.ts'
import { openTestRuntime, send } from '../support/runtime.ts'

const MINUTE = 60_000
const refusal = { message: 'the session has ended', reason: 'unauthorized', route: 'GET /api/agents' }

function open() {
  const clock = new TestClock()
  const events: NewEvent[] = []
  const state = { record: (event: NewEvent) => events.push(event) } as unknown as StateManager
  const refusals = new Refusals({ state, clock })
  return { refusals, events, clock, counted: () => events.map(({ data }) => (data as { count?: number }).count ?? 1) }
}

describe('refusals of those who have no token', () => {
  test('refusals without a token are recorded one by one at first, then as a number, in ever longer intervals', () => {
    const { refusals, events, counted, clock } = open()
    for (let number = 0; number < 1_000; number++) refusals.record(refusal)
    expect(counted()).toEqual(Array(60).fill(1))
    clock.advance(MINUTE)
    expect(events.at(-1)).toMatchObject({
      message: 'Refused 940 more requests, the last one GET /api/agents: the session has ended',
      data: { reason: 'unauthorized', route: 'GET /api/agents', count: 940 },
    })
    for (let minute = 0; minute < 24 * 60; minute++) {
      for (let number = 0; number < 100; number++) refusals.record(refusal)
      clock.advance(MINUTE)
    }
    refusals.close()
    // One more a minute, and one number an hour after the first hour.
    expect(events.length).toBeLessThan(60 + 24 * 60 + 6 + 24 + 2)
    expect(counted().reduce((sum, count) => sum + count)).toBe(1_000 + 24 * 60 * 100)
  })

  test('refusals without a token are recorded one by one again after an hour of silence', () => {
    const { refusals, counted, clock } = open()
    for (let number = 0; number < 100; number++) refusals.record(refusal)
    clock.advance(60 * MINUTE)
    for (let number = 0; number < 60; number++) refusals.record(refusal)
    expect(counted()).toEqual([...Array(60).fill(1), 40, ...Array(60).fill(1)])
  })

  test('refusals without a token do not change how those of a known caller are recorded', () => {
    const { refusals, events } = open()
    for (let number = 0; number < 100; number++) refusals.record(refusal)
    refusals.record({ ...refusal, who: { role: 'viewer', actor: 'bob' } })
    expect(events).toHaveLength(61)
    expect(events.at(-1)!.data).toMatchObject({ role: 'viewer', actor: 'bob' })
  })
})

test('a flood of unauthenticated requests adds only a few rows to history and audit', async () => {
  const cage = await openTestRuntime()
  const agent = cage.addAgent()
  const flood = ['/api/agents', '/api/snapshot', '/metrics', '/api/run', '/secrets']
  const wrong = { authorization: `Bearer ic_${'x'.repeat(43)}`, 'content-type': 'application/json' }
  for (let round = 0; round < 40; round++) {
    const guesses = flood.map((path) => send(cage.url + path, { method: 'GET', headers: wrong }))
    guesses.push(
      send(`${cage.url}/api/auth/refresh`, { method: 'POST', headers: wrong, body: '{"refresh_token":"x"}' }),
    )
    guesses.push(send(`${cage.url}/gateway/openai/v1/models`, { method: 'GET', headers: wrong }))
    for (const { status } of await Promise.all(guesses)) expect(status).toBe(401)
  }
  expect(cage.of('auth.failed')).toHaveLength(60)
  const rows = cage.database.prepare("SELECT count(*) FROM audit WHERE action = 'auth.failed'").pluck().get()
  expect(rows).toBe(60)
  expect(cage.runtime.state.read().recent.some(({ agent_id }) => agent_id === agent.id)).toBe(true)
})
