import { describe, expect, test } from 'vitest'
import { type CircuitSettings, Circuits } from '../../src/breaker/circuits.ts'
import { CircuitOpenError } from '../../src/core/errors.ts'
import { toCallId } from '../../src/core/ids.ts'
import { usd } from '../../src/core/money.ts'
import { openStore } from '../../src/db/store.ts'
import { cooldownLeftMs } from '../../src/state/figures.ts'
import { fallbackSuccess } from '../../src/state/figures-text.ts'
import { openWorld, type World } from './support.ts'

const settings: CircuitSettings = { failures: 5, cooldownMs: 60_000, probeMs: 30_000, fallbackTier: 2 }

function trip(circuits: Circuits, retryAfterMs?: number): void {
  for (let i = 0; i < settings.failures; i++)
    circuits.enter('linkedin_api', settings).failed('answered 429', retryAfterMs)
}

function refusal(circuits: Circuits): CircuitOpenError {
  try {
    circuits.enter('linkedin_api', settings)
  } catch (error) {
    if (error instanceof CircuitOpenError) return error
    throw error
  }
  throw new Error('was admitted')
}

const story = ({ events }: World) => events.map(({ level, message }) => `${level} ${message}`)

test('a trip, a failed probe and a successful one are reported in these words', () => {
  const world = openWorld()
  const circuits = new Circuits(world)
  trip(circuits)
  world.clock.advance(60_000)
  circuits.enter('linkedin_api', settings).failed('answered 503')
  world.clock.advance(60_000)
  circuits.enter('linkedin_api', settings).succeeded()
  expect(story(world)).toEqual([
    'CRIT Circuit OPEN for linkedin_api after 5 failures · fallback tier 2 (cached data)',
    'INFO Circuit HALF_OPEN for linkedin_api: one call probes',
    'WARN Circuit OPEN for linkedin_api again, answered 503 · fallback tier 2 (cached data)',
    'INFO Circuit HALF_OPEN for linkedin_api: one call probes',
    'OK Circuit CLOSED for linkedin_api: the probe succeeded',
  ])
  expect(world.state.read().circuits.linkedin_api).toMatchObject({ state: 'closed', trips: 1 })
})

test('a refusal includes the remaining seconds', () => {
  const world = openWorld()
  const circuits = new Circuits(world)
  trip(circuits, 1_800_000)
  expect(refusal(circuits).retryAfterS).toBe(1_800)
  world.clock.advance(1_799_500)
  expect(refusal(circuits).retryAfterS).toBe(1)
  expect(world.of('circuit.opened')[0]?.data).toEqual({
    circuit: 'linkedin_api',
    failures: 5,
    cooldown_ms: 1_800_000,
    reason: 'answered 429',
    tier: 2,
  })
})

test('a permit reports once', () => {
  const world = openWorld()
  const circuits = new Circuits(world)
  const permit = circuits.enter('linkedin_api', settings)
  for (let i = 0; i < 10; i++) permit.failed('answered 500')
  expect(world.events).toEqual([])
})

test('circuits of different names do not know each other', () => {
  const circuits = new Circuits(openWorld())
  trip(circuits)
  expect(() => circuits.enter('openai', settings).succeeded()).not.toThrow()
  expect(refusal(circuits).facts).toEqual({ circuit: 'linkedin_api' })
})

test('setting the wall clock does not move a cooldown', () => {
  const world = openWorld()
  const circuits = new Circuits(world)
  trip(circuits)
  world.clock.setWall(86_400_000)
  expect(refusal(circuits).retryAfterS).toBe(60)
  world.clock.setWall(-2 * 86_400_000)
  world.clock.advance(60_000)
  circuits.enter('linkedin_api', settings).succeeded()
  expect(world.of('circuit.closed')).toHaveLength(1)
})

test('a reset closes a circuit at once and records its author', () => {
  const world = openWorld()
  const circuits = new Circuits(world)
  trip(circuits)
  circuits.reset('linkedin_api', 'admin')
  expect(world.of('circuit.closed')[0]).toMatchObject({
    message: 'Circuit CLOSED for linkedin_api: reset by admin',
    data: { circuit: 'linkedin_api', by: 'operator' },
  })
  circuits.enter('linkedin_api', settings).succeeded()
  circuits.reset('linkedin_api', 'admin')
  expect(world.of('circuit.closed'), 'a closed one is not closed again').toHaveLength(1)
})

test('a circuit that was never called cannot be reset', () => {
  const circuits = new Circuits(openWorld())
  expect(() => circuits.reset('constructor', 'admin')).toThrow(expect.objectContaining({ code: 'not_found' }))
})

test('an open circuit keeps the rest of its cooldown after a restart', () => {
  const store = openStore({ path: ':memory:' })
  trip(new Circuits(openWorld(store)), 1_800_000)
  const restarted = openWorld(store)
  restarted.clock.advance(600_000)
  const circuits = new Circuits(restarted)
  expect(refusal(circuits).retryAfterS).toBe(1_200)
  restarted.clock.advance(1_200_000)
  circuits.enter('linkedin_api', settings).succeeded()
  expect(restarted.state.read().circuits.linkedin_api?.state).toBe('closed')
})

test('a wall clock that went back during the restart costs one cooldown at most', () => {
  const store = openStore({ path: ':memory:' })
  trip(new Circuits(openWorld(store)))
  const restarted = openWorld(store)
  restarted.clock.setWall(-86_400_000)
  expect(refusal(new Circuits(restarted)).retryAfterS).toBe(60)
})

test('a circuit that was half-open is probed by the first caller after a restart', () => {
  const store = openStore({ path: ':memory:' })
  const before = openWorld(store)
  const circuits = new Circuits(before)
  trip(circuits)
  before.clock.advance(60_000)
  circuits.enter('linkedin_api', settings)
  const restarted = openWorld(store)
  const again = new Circuits(restarted)
  const probe = again.enter('linkedin_api', settings)
  expect(refusal(again).retryAfterS).toBe(30)
  probe.succeeded()
  expect(restarted.state.read().circuits.linkedin_api?.state).toBe('closed')
})

describe('a circuit opened by a person', () => {
  test('a circuit opened by a person admits no call until a person closes it, even after a restart, and counts no trip', () => {
    const store = openStore({ path: ':memory:' })
    const world = openWorld(store)
    const circuits = new Circuits({ ...world, configured: ['linkedin_api'] })
    circuits.open('linkedin_api', 'admin')
    circuits.open('linkedin_api', 'admin')
    expect(story(world)).toEqual(['WARN Circuit OPEN for linkedin_api: opened by admin, until it is reset'])
    expect(world.state.read().circuits.linkedin_api).toMatchObject({ state: 'open', forced: true, trips: 0 })
    const restarted = openWorld(store)
    restarted.clock.advance(86_400_000 * 3)
    const again = new Circuits(restarted)
    expect(refusal(again).retryAfterS).toBe(60)
    again.reset('linkedin_api', 'admin')
    again.enter('linkedin_api', settings).succeeded()
    expect(restarted.state.read().circuits.linkedin_api).toMatchObject({ state: 'closed', forced: false, trips: 0 })
  })

  test('a circuit opened by a person has the name of a provider, of one of its models, or of a service', () => {
    const circuits = new Circuits({ ...openWorld(), configured: ['openai'] })
    expect(() => circuits.open('openai/gpt-4', 'admin')).not.toThrow()
    expect(() => circuits.open('opnai', 'admin')).toThrow(expect.objectContaining({ code: 'not_found' }))
  })
})

test('a circuit counts its trips, the last of them, calls blocked and saved, and how often a fallback answered', () => {
  const world = openWorld()
  const circuits = new Circuits(world)
  const call = (data: object) =>
    world.state.record({
      type: 'service.called',
      level: 'INFO',
      message: 'called',
      data: {
        call_id: toCallId('c'),
        service: 'linkedin_api',
        ok: true,
        status: 200,
        tier: 1,
        blocked: false,
        cost_usd: usd('0'),
        saved_usd: usd('0'),
        latency_ms: 1,
        ...data,
      },
    })
  trip(circuits)
  const openedAt = world.of('circuit.opened')[0]!.at
  call({ tier: 2, blocked: true, saved_usd: '0.1' })
  world.state.record({
    type: 'fallback.used',
    level: 'INFO',
    message: 'cached',
    data: { service: 'linkedin_api', tier: 2, why: 'circuit open' },
  })
  call({ ok: false, status: 503, tier: null, blocked: true, saved_usd: '0.1' })
  call({ ok: false, status: 499, tier: null })
  world.clock.advance(20_000)
  const view = world.state.read().circuits.linkedin_api!
  expect(view).toMatchObject({ trips: 1, last_trip_at: openedAt, blocked: 2, saved_usd: '0.2' })
  expect(cooldownLeftMs(view, world.clock.now())).toBe(40_000)
  expect(fallbackSuccess(view)).toBe('50% (1/2) via fallback')
  circuits.reset('linkedin_api', 'admin')
  const closed = world.state.read().circuits.linkedin_api!
  expect(closed.last_trip_at).toBe(openedAt)
  expect(cooldownLeftMs(closed, world.clock.now())).toBeNull()
})

test('names that are made up have no end, circuits have: further ones are let through, and those of the configuration stay', () => {
  const world = openWorld()
  const circuits = new Circuits({ ...world, configured: ['openai'] })
  const fail = (name: string) => {
    for (let i = 0; i < settings.failures; i++) circuits.enter(name, settings).failed('answered 503')
  }
  for (let i = 0; i < 300; i++) fail(`openai/ft:gpt-4o-mini:o::${i}`)
  expect(world.of('circuit.opened')).toHaveLength(200)
  circuits.enter('openai/ft:gpt-4o-mini:o::299', settings).succeeded()
  fail('openai')
  expect(() => circuits.enter('openai', settings)).toThrow(CircuitOpenError)
  expect(() => circuits.enter('openai/ft:gpt-4o-mini:o::0', settings)).toThrow(CircuitOpenError)
})
