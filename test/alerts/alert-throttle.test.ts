import { expect, test } from 'vitest'
import { AlertThrottle, type Digest } from '../../src/alerts/alert-throttle.ts'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import type { EventOf } from '../../src/core/events.ts'
import { toAgentId } from '../../src/core/ids.ts'
import { TestClock } from '../support/clock.ts'
import { openWorld, piiFound, type World } from './support.ts'

const titles = ({ events }: World) =>
  events.filter((event) => event.type === 'alert.raised').map(({ data }) => data.title)
const SINGLE = 'Personal data found — e-mail address'

test('five hundred findings within a minute are ten alerts and one digest', async () => {
  const clock = new TestClock()
  await using world = openWorld({}, { clock })
  for (let i = 0; i < 500; i++) world.record(piiFound())
  expect(titles(world)).toEqual(Array(10).fill(SINGLE))
  clock.advance(60_000)
  expect(titles(world)).toEqual([...Array(10).fill(SINGLE), 'Personal data found 490 more times'])
  clock.advance(600_000)
  expect(titles(world)).toHaveLength(11)
  expect(world.state.read().alerts[0]).toMatchObject({
    level: 'CRIT',
    agent_id: 'lg-7a3f9c2d',
    detail: 'Within 60 s: e-mail address 490. To list the incidents: iron-cage incidents --agent lg-7a3f9c2d',
  })
})

test('findings that come slowly, and those of another agent, are alerts of their own', async () => {
  const clock = new TestClock()
  await using world = openWorld({}, { clock })
  for (let i = 0; i < 30; i++) {
    world.record(piiFound())
    clock.advance(7_000)
  }
  clock.advance(60_000)
  for (let i = 0; i < 10; i++) world.record(piiFound())
  for (let i = 0; i < 10; i++) world.record({ ...piiFound(), agent_id: toAgentId('other') })
  clock.advance(600_000)
  expect(new Set(titles(world))).toEqual(new Set([SINGLE]))
})

test('a digest that is being gathered is raised when the server closes', async () => {
  const world = openWorld()
  for (let i = 0; i < 12; i++) world.record(piiFound())
  await world.alerts.close()
  expect(titles(world).at(-1)).toBe('Personal data found 2 more times')
  world.state.close()
  world.store.close()
})

test('a finding that comes after the minute but before its digest is in the digest', () => {
  const clock = new TestClock()
  const late: Clock = {
    ...systemClock,
    monotonic: () => clock.monotonic(),
    after: (ms, run) => clock.after(ms + 10, run),
  }
  const digests: Digest[] = []
  const throttle = new AlertThrottle(late, (digest) => digests.push(digest))
  const finding = { ...piiFound(), seq: 1, at: '' } as EventOf<'pii.found'>
  for (let i = 0; i < 11; i++) throttle.takes(finding)
  clock.advance(60_001)
  expect(throttle.takes(finding)).toBe(true)
  clock.advance(60_000)
  expect(digests.map(({ counts }) => [...counts])).toEqual([[['email', 2]]])
  expect(throttle.takes(finding)).toBe(false)
})
