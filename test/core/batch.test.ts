/** What waits together goes together, and every caller gets its own answer. */
import { expect, test } from 'vitest'
import { Batch, lookup } from '../../src/core/batch.ts'

/** Rounds that end when the test says so, each with ten times its items. */
function gated(options?: ConstructorParameters<typeof Batch<number, number>>[1]) {
  const rounds: { items: readonly number[]; end: PromiseWithResolvers<void> }[] = []
  const batch = new Batch<number, number>(async (items) => {
    const end = Promise.withResolvers<void>()
    rounds.push({ items, end })
    await end.promise
    return items.map((item) => (item < 0 ? new Error(`${item} is negative`) : item * 10))
  }, options)
  const round = async (index: number) => {
    while (rounds[index] === undefined) await Promise.resolve()
    return rounds[index]
  }
  return { batch, rounds, round }
}

test('items of one task share a round, and those that arrive during it share the next', async () => {
  const { batch, rounds, round } = gated()
  const first = [batch.add(1), batch.add(2)]
  const { end } = await round(0)
  const next = [batch.add(3), batch.add(4)]
  expect(rounds).toHaveLength(1)
  end.resolve()
  expect(await Promise.all(first)).toEqual([10, 20])
  ;(await round(1)).end.resolve()
  expect(await Promise.all(next)).toEqual([30, 40])
  expect(rounds.map(({ items }) => items)).toEqual([
    [1, 2],
    [3, 4],
  ])
})

test('an Error rejects its item alone, a round that rejects all of its items, and the next round runs', async () => {
  const { batch, round } = gated()
  const both = Promise.allSettled([batch.add(-1), batch.add(1)])
  ;(await round(0)).end.resolve()
  expect(await both).toMatchObject([{ reason: { message: '-1 is negative' } }, { value: 10 }])
  const none = Promise.allSettled([batch.add(2), batch.add(3)])
  ;(await round(1)).end.reject(new Error('no database'))
  expect(await none).toMatchObject([{ reason: { message: 'no database' } }, { reason: { message: 'no database' } }])
  const after = batch.add(4)
  ;(await round(2)).end.resolve()
  expect(await after).toBe(40)
})

test('a round has the chosen items, and the others wait for the next', async () => {
  const { batch, rounds, round } = gated({ choose: (waiting) => waiting.slice(0, 2) })
  const all = [1, 2, 3].map((item) => batch.add(item))
  ;(await round(0)).end.resolve()
  ;(await round(1)).end.resolve()
  expect(await Promise.all(all)).toEqual([10, 20, 30])
  expect(rounds.map(({ items }) => items)).toEqual([[1, 2], [3]])
})

test('a lookup reads each key once, and a key without a value is undefined', async () => {
  const read: (readonly string[])[] = []
  const names = lookup(async (keys) => {
    read.push(keys)
    return new Map([['a', 'Ada']])
  })
  expect(await Promise.all(['a', 'b', 'a'].map((key) => names.add(key)))).toEqual(['Ada', undefined, 'Ada'])
  expect(read).toEqual([['a', 'b']])
})
