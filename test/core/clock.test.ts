import { getEventListeners } from 'node:events'
import { describe, expect, test } from 'vitest'
import { every, systemClock } from '../../src/core/clock.ts'
import { TestClock } from '../support/clock.ts'

describe.each([
  ['the system', () => systemClock],
  ['a test', () => new TestClock()],
])('a sleep on the clock of %s', (_whose, clockOf) => {
  test('a wait of the system clock ends with the reason of its signal as soon as that is aborted', async () => {
    const { signal, abort } = withAbort()
    const sleep = clockOf().sleep(3_600_000, signal)
    abort(new Error('nobody waits any more'))
    await expect(sleep).rejects.toThrow('nobody waits any more')
    await expect(clockOf().sleep(3_600_000, signal)).rejects.toThrow('nobody waits any more')
  })

  test('a wait of the system clock leaves nothing behind at its signal', async () => {
    const { signal } = withAbort()
    const clock = clockOf()
    const sleep = clock.sleep(1, signal)
    if (clock instanceof TestClock) clock.advance(1)
    await sleep
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  test('a timer that was canceled does not run', async () => {
    const clock = clockOf()
    const ran: string[] = []
    clock.after(1, () => ran.push('canceled')).cancel()
    const last = clock.sleep(5)
    if (clock instanceof TestClock) clock.advance(5)
    await last
    expect(ran).toEqual([])
  })
})

test('a task of every second runs at every second until it is ended', () => {
  const clock = new TestClock()
  const times: number[] = []
  const end = every(clock, 1_000, () => times.push(clock.monotonic()))
  clock.advance(3_500)
  expect(times).toEqual([2_000, 3_000, 4_000])
  end()
  expect(clock.timers).toBe(0)
  clock.advance(5_000)
  expect(times).toHaveLength(3)
})

function withAbort() {
  const controller = new AbortController()
  return { signal: controller.signal, abort: (reason: unknown) => controller.abort(reason) }
}
