import { expect, test } from 'vitest'
import { MAX_WAITING, type Place, RateLimits } from '../../src/breaker/rate-limits.ts'
import { TestClock } from '../support/clock.ts'

const never = new AbortController().signal
const MINUTE = 60_000

function open() {
  const clock = new TestClock()
  const limits = new RateLimits(clock)
  const released: string[] = []
  return {
    limits,
    released,
    place: (agentId = 'a', maxWaitMs = MINUTE) => limits.place('openai/gpt-4o', agentId, maxWaitMs),
    /** Notes when it may go on, or why not. */
    enter: (name: string, place: Place, signal = never) =>
      void place.wait(signal).then(
        () => released.push(name),
        (error) => released.push(`${name}: ${error.code ?? error.message}`),
      ),
    pass: (ms: number) => clock.advanceAsync(ms),
  }
}

test('no call waits until a provider requests it, and then only the calls of that model', async () => {
  const { limits, place, pass, released, enter } = open()
  enter('first', place())
  await pass(0)
  expect(place().pause(1_000)).toBe(true)
  enter('of the same burst', place())
  await pass(250)
  enter('later', place())
  enter('other model', limits.place('openai/gpt-4', 'a', MINUTE))
  await pass(749)
  expect(released).toEqual(['first', 'of the same burst', 'other model'])
  await pass(1)
  expect(released.at(-1)).toBe('later')
})

test('calls go on in the order in which they came, also those that had been sent already', async () => {
  const { place, pass, released, enter } = open()
  const [one, two] = [place(), place()]
  await one.wait(never)
  one.pause(1_000)
  two.pause(1_000)
  await pass(500)
  const three = place()
  enter('three', three)
  enter('two', two)
  enter('one', one)
  await pass(500)
  await pass(500)
  expect(released).toEqual(['one', 'two', 'three'])
})

test('a wait that lasts is one wait, and a call waits for no longer than it may in all', async () => {
  const { place, pass, released, enter } = open()
  const [refused, patient] = [place('a', 5_000), place('a', MINUTE)]
  expect(refused.pause(5_001)).toBe(false)
  expect(refused.pause(3_000)).toBe(true)
  expect(patient.pause(3_000)).toBe(true)
  enter('refused', refused)
  enter('patient', patient)
  await pass(2_000)
  expect(place().pause(3_001)).toBe(true)
  await pass(0)
  expect(released).toEqual(['refused: rate_limited'])
  expect(refused.waitedMs()).toBe(2_000)
  await pass(3_001)
  expect(released).toEqual(['refused: rate_limited', 'patient'])
})

test('a thousand that waited go out a few at a time, within a tenth of a second', async () => {
  const { place, pass, released, enter } = open()
  place().pause(1_000)
  await pass(250)
  for (let agent = 0; agent < 100; agent++) {
    for (let call = 0; call < 10; call++) enter('', place(`agent-${agent}`))
  }
  await pass(750)
  expect(released).toHaveLength(100)
  for (let i = 0; i < 10; i++) await pass(10)
  expect(released).toHaveLength(1_000)
})

test('no agent takes more places than it leaves to the others', async () => {
  const { place, pass, released, enter } = open()
  place().pause(1_000)
  await pass(250)
  for (let i = 0; i < MAX_WAITING; i++) enter('a', place('a'))
  await pass(0)
  expect(released).toEqual(Array(MAX_WAITING / 2).fill('a: rate_limited'))
  enter('b', place('b'))
  await pass(2_000)
  expect(released.at(-1)).toBe('b')
})

test('a client that disconnects frees its place', async () => {
  const { place, pass, released, enter } = open()
  place().pause(1_000)
  await pass(250)
  const gone = new AbortController()
  enter('gone', place(), gone.signal)
  enter('next', place())
  gone.abort(new Error('left'))
  await pass(1_000)
  expect(released).toEqual(['gone: left', 'next'])
})
