import { expect, test } from 'vitest'
import { SharedViews } from '../../src/panel/shared-views.ts'
import { TestClock } from '../support/clock.ts'

function open() {
  const clock = new TestClock()
  const readings: { organization: string; end: (text: string) => void; fail: (error: Error) => void }[] = []
  const views = new SharedViews(clock, (organization) => {
    const { promise, resolve, reject } = Promise.withResolvers<object>()
    readings.push({ organization, end: (text) => resolve({ text }), fail: reject })
    return promise
  })
  return { clock, readings, views, begun: (count: number) => expect.poll(() => readings.length).toBe(count) }
}

test('all readers that arrive during a read of the fleet share the next one', async () => {
  const { clock, readings, views, begun } = open()
  const first = views.view('one')
  await begun(1)
  const later = Array.from({ length: 100 }, () => views.view('one'))
  // Another organization does not wait.
  void views.view('another')
  await begun(2)
  clock.advance(30)
  readings[0]!.end('before')
  expect((await first).text).toBe('{"text":"before"}')
  expect(readings).toHaveLength(2)
  // As long as it was read it is not read.
  await expect.poll(() => clock.timers).toBe(1)
  clock.advance(29)
  expect(clock.timers).toBe(1)
  clock.advance(1)
  await begun(3)
  readings[2]!.end('after')
  expect(new Set((await Promise.all(later)).map(({ text }) => text))).toEqual(new Set(['{"text":"after"}']))
  expect(readings.map(({ organization }) => organization)).toEqual(['one', 'another', 'one'])
})

test('a failed read of the fleet is repeated for later readers', async () => {
  const { readings, views, begun } = open()
  const first = views.view('one')
  await begun(1)
  const later = views.view('one')
  readings[0]!.fail(new Error('gone'))
  await expect(first).rejects.toThrow('gone')
  await begun(2)
  readings[1]!.end('back')
  expect((await later).text).toBe('{"text":"back"}')
})
