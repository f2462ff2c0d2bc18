import { expect, test } from 'vitest'
import { WaitingList } from '../src/waiting-list.ts'

const never = new AbortController().signal
const namesOf = (list: WaitingList<string, number>): string[] => [...list].map(({ who }) => who)

test('callers wait in order, and get what they are released with', async () => {
  const list = new WaitingList<string, number>()
  const waits = ['a', 'b', 'c'].map((who) => list.wait(who, never))
  expect(namesOf(list)).toEqual(['a', 'b', 'c'])
  for (const { who, release } of list) if (who !== 'b') release(who.charCodeAt(0))
  expect(await waits[0]).toBe(97)
  expect(await waits[2]).toBe(99)
  expect([namesOf(list), list.length, list.count((who) => who === 'b')]).toEqual([['b'], 1, 1])
})

test('a caller may go before others that wait already', () => {
  const list = new WaitingList<string, number>()
  for (const who of ['b', 'd', 'a', 'c']) void list.wait(who, never, (other) => other < who)
  expect(namesOf(list)).toEqual(['a', 'b', 'c', 'd'])
})

test('a caller whose signal fires leaves with its reason, one that is rejected with the error', async () => {
  const list = new WaitingList<string, number>()
  const gone = new AbortController()
  const left = list.wait('left', gone.signal)
  const refused = list.wait('refused', never)
  gone.abort(new Error('the client left'))
  await expect(left).rejects.toThrow('the client left')
  for (const { reject } of list) reject(new Error('too long'))
  await expect(refused).rejects.toThrow('too long')
  expect(list.length).toBe(0)
  await expect(list.wait('late', gone.signal)).rejects.toThrow('the client left')
  expect(list.length).toBe(0)
})

test('a caller that was released does not leave again', async () => {
  const list = new WaitingList<string, number>()
  const gone = new AbortController()
  const first = list.wait('first', gone.signal)
  void list.wait('second', never)
  const [waiting] = list
  waiting!.release(1)
  waiting!.release(2)
  gone.abort(new Error('too late'))
  expect(await first).toBe(1)
  expect(namesOf(list)).toEqual(['second'])
})
