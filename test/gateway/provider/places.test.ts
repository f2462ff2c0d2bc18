import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Places } from '../../../src/gateway/provider/places.ts'

const never = new AbortController().signal

/** As many places as an agent gets. */
function takeAll(places: Places, agentId: string): (() => void)[] {
  const taken: (() => void)[] = []
  for (let place = places.tryTake(agentId); place; place = places.tryTake(agentId)) taken.push(place)
  return taken
}

test('no agent has more places than it leaves to all others, and there is always one for the next', () => {
  const places = new Places(512)
  const agents = ['a', 'b', 'c', 'd', 'e'].map((agentId) => takeAll(places, agentId).length)
  expect(agents).toEqual([256, 128, 64, 32, 16])
})

test('several places are taken at once or not at all', () => {
  const places = new Places(10)
  expect(places.tryTake('a', 11)).toBeUndefined()
  const release = places.tryTake('a', 5)
  expect(places.tryTake('b', 6)).toBeUndefined()
  release!()
  expect(places.tryTake('b', 6)).toBeDefined()
})

test('a freed place goes to the longest-waiting caller that may have it', async () => {
  const places = new Places(4, 8)
  const [first, second] = takeAll(places, 'a')
  const order: string[] = []
  const wait = (agentId: string) => places.take(agentId, never).then(() => order.push(agentId))
  const waiting = [wait('a'), wait('a')]
  places.tryTake('b')
  first!()
  first!()
  await waiting[0]
  expect(order).toEqual(['a'])
  second!()
  await waiting[1]
  expect(order).toEqual(['a', 'a'])
})

test('no agent has more calls waiting than it leaves to all others; further ones are refused at once', async () => {
  const places = new Places(2, 8)
  takeAll(places, 'a')
  takeAll(places, 'b')
  const gone = new AbortController()
  const waiting = async (agentId: string) => {
    for (let count = 0; ; count++) {
      const place = places.take(agentId, gone.signal).catch(() => 'left')
      if ((await Promise.race([place, nextTurn('waits')])) === undefined) return count
    }
  }
  expect([await waiting('a'), await waiting('b'), await waiting('c')]).toEqual([4, 2, 1])
  gone.abort()
  expect(await Promise.race([places.take('a', never), nextTurn('waits')])).toBe('waits')
})

test('a caller that disconnects stops waiting', async () => {
  const places = new Places(2, 8)
  const [place] = takeAll(places, 'a')
  const gone = new AbortController()
  const left = places.take('a', gone.signal)
  gone.abort(new Error('left'))
  await expect(left).rejects.toThrow('left')
  place!()
  expect(places.tryTake('a')).toBeDefined()
})
