import { expect, test } from 'vitest'
import { WaitingList } from '../../src/core/waiting-list.ts'

const never = new AbortController().signal
const caller = (agentId: string) => ({ agentId })
const open = (max = 8) => new WaitingList<{ agentId: string }, number>(max)
const namesOf = (list: ReturnType<typeof open>): string[] => [...list].map(({ who }) => who.agentId)

test('callers wait in order, and each gets the value it is released with', async () => {
  const list = open()
  const waits = ['a', 'b', 'c'].map((name) => list.wait(caller(name), never))
  expect(namesOf(list)).toEqual(['a', 'b', 'c'])
  for (const { who, release } of list) if (who.agentId !== 'b') release(who.agentId.charCodeAt(0))
  expect(await waits[0]).toBe(97)
  expect(await waits[2]).toBe(99)
  expect([namesOf(list), list.length]).toEqual([['b'], 1])
})

test('a caller may go before others that wait already', () => {
  const list = open()
  for (const name of ['b', 'd', 'a', 'c']) {
    void list.wait(caller(name), never, (other) => other.agentId < name)
  }
  expect(namesOf(list)).toEqual(['a', 'b', 'c', 'd'])
})

test('a caller whose signal fires leaves with its reason, one that is rejected with the error', async () => {
  const list = open()
  const gone = new AbortController()
  const left = list.wait(caller('left'), gone.signal)
  const refused = list.wait(caller('refused'), never)
  gone.abort(new Error('the client left'))
  await expect(left).rejects.toThrow('the client left')
  for (const { reject } of list) reject(new Error('too long'))
  await expect(refused).rejects.toThrow('too long')
  expect(list.length).toBe(0)
  await expect(list.wait(caller('late'), gone.signal)).rejects.toThrow('the client left')
  expect(list.length).toBe(0)
})

test('a caller that was released does not leave again', async () => {
  const list = open()
  const gone = new AbortController()
  const first = list.wait(caller('first'), gone.signal)
  void list.wait(caller('second'), never)
  const [waiting] = list
  waiting!.release(1)
  waiting!.release(2)
  gone.abort(new Error('too late'))
  expect(await first).toBe(1)
  expect(namesOf(list)).toEqual(['second'])
})

test('no agent has more places than it leaves to all others, and there is always one for the next', () => {
  const list = open(16)
  const takeAll = (name: string): number => {
    let count = 0
    for (; list.hasRoomFor(name); count++) void list.wait(caller(name), never)
    return count
  }
  expect(['a', 'b', 'c', 'd'].map(takeAll)).toEqual([8, 4, 2, 1])
})
