import { expect, test } from 'vitest'
import { RepeatingTask } from '../../src/core/repeating-task.ts'
import { TestClock } from '../support/clock.ts'

/** Runs with the results `ends`, one after the other; the last one again and again. */
function repeating(...ends: (number | undefined | 'failed')[]) {
  const clock = new TestClock()
  const start = clock.monotonic()
  const runs: number[] = []
  const task = new RepeatingTask(clock, async () => {
    runs.push((clock.monotonic() - start) / 1_000)
    const end = ends.length > 1 ? ends.shift() : ends[0]
    if (end === 'failed') throw new Error('planted')
    return end
  })
  /** Second by second, so that each run ends before the next one is due. */
  const pass = async (seconds: number) => {
    for (let n = 0; n <= seconds; n++) {
      clock.advance(n === 0 ? 0 : 1_000)
      for (let turn = 0; turn < 5; turn++) await Promise.resolve()
    }
  }
  return { task, runs, pass }
}

test('a task runs at once, and again after the pause that it returned', async () => {
  const { runs, pass } = repeating(5_000)
  await pass(11)
  expect(runs).toEqual([0, 5, 10])
})

test('pauses after failures double up to a minute, regardless of wake-ups, and end with a success', async () => {
  const { task, runs, pass } = repeating(...Array<'failed'>(8).fill('failed'), 10_000)
  await pass(0)
  task.wake(0)
  await pass(200)
  expect(runs).toEqual([0, 1, 3, 7, 15, 31, 63, 123, 183, 193])
  expect(task.failures).toBe(0)
})

test('a retry ends the wait after failures', async () => {
  const { task, runs, pass } = repeating('failed', 'failed', 'failed', undefined)
  await pass(4)
  task.retry()
  await pass(100)
  expect(runs).toEqual([0, 1, 3, 4])
})

test('a task without a pause runs when it is woken, at the earliest of the times, also when that was during a run', async () => {
  const { task, runs, pass } = repeating(undefined)
  task.wake(3_000)
  await pass(2)
  task.wake(3_000)
  task.wake(1_000)
  task.wake(2_000)
  await pass(10)
  expect(runs).toEqual([0, 3])
  let end = () => {}
  const clock = new TestClock()
  let started = 0
  const slow = new RepeatingTask(clock, () => {
    started += 1
    return new Promise((done) => {
      end = () => done(undefined)
    })
  })
  clock.advance(0)
  slow.wake(1_000)
  clock.advance(5_000)
  expect(started).toBe(1)
  end()
  for (let turn = 0; turn < 5; turn++) await Promise.resolve()
  clock.advance(0)
  expect(started).toBe(2)
  end()
})

test('a task that is stopped waits for its run, and has no further one', async () => {
  const { task, runs, pass } = repeating(1_000)
  await pass(1)
  await task.stop()
  task.retry()
  await pass(10)
  expect(runs).toEqual([0, 1])
})
