import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, onTestFinished, test, vi } from 'vitest'
import { countTokens } from '../../src/budget/tokenizer.ts'
import { systemClock } from '../../src/core/clock.ts'

test('others have their turn while a vocabulary is loaded and a long text counted', async () => {
  let turns = 0
  let isDone = false
  const counting = (async () => {
    for (; !isDone; turns++) await nextTurn()
  })()
  const counted = await Promise.all(['gpt-4o', 'gpt-4'].map((model) => countTokens('4111 word '.repeat(20_000), model)))
  isDone = true
  await counting
  expect(counted.every((tokens) => tokens > 60_000)).toBe(true)
  expect(turns).toBeGreaterThan(1_000)
})

test('each of many texts gets its own count', async () => {
  const texts = Array.from({ length: 50 }, (_, index) => 'word '.repeat(index))
  const counts = await Promise.all(texts.map((text) => countTokens(text, 'gpt-4o')))
  expect(counts[0]).toBe(0)
  for (let index = 2; index < 50; index++) expect(counts[index]! - counts[index - 1]!).toBe(1)
})

test('the thread ends when it is idle, and not while it counts, however long that takes', async () => {
  const spy = vi.spyOn(systemClock, 'after')
  onTestFinished(() => spy.mockRestore())
  // Time is always up.
  spy.mockImplementation((_ms, work) => {
    work()
    return { cancel: () => undefined, unref: () => undefined as never }
  })
  for (let turn = 1; turn <= 3; turn++) {
    expect(await countTokens('two words', 'gpt-4o')).toBe(2)
    expect(spy).toHaveBeenCalledTimes(turn)
  }
})
