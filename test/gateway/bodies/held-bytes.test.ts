/** A bound on the memory of large bodies. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { BodyMemory, type HeldBytes } from '../../../src/gateway/bodies/held-bytes.ts'

const MIB = 1024 * 1024
const never = new AbortController().signal
const waits = (held: HeldBytes, size: number) => Promise.race([held.waitFor(size, never), nextTurn('waits')])

/** As many requests of this size as fit. */
function fill(memory: BodyMemory, agentId: string, size: number): HeldBytes[] {
  const held: HeldBytes[] = []
  for (;;) {
    const one = memory.of(agentId)
    try {
      for (let bytes = MIB; bytes <= size; bytes += MIB) one.growTo(bytes)
    } catch (error) {
      expect(error).toMatchObject({ code: 'too_many_streams', retryAfterS: 1, facts: { agent_id: agentId } })
      one.release()
      return held
    }
    held.push(one)
  }
}

test('one agent may hold half of the request memory, and released bytes are free again', () => {
  const memory = new BodyMemory(32 * MIB)
  const held = fill(memory, 'a', 32 * MIB)
  expect(held).toHaveLength(4)
  expect(fill(memory, 'b', 32 * MIB)).toHaveLength(2)
  for (const one of held) one.release()
  expect(fill(memory, 'a', 32 * MIB)).toHaveLength(3)
})

test('two of the largest requests fit, however large they may be', () => {
  expect(fill(new BodyMemory(200 * MIB), 'a', 200 * MIB)).toHaveLength(2)
})

test('a request is counted once for each size it grows to', () => {
  const one = new BodyMemory(32 * MIB).of('a')
  for (let chunk = 0; chunk < 10_000; chunk++) one.growTo(5 * MIB)
})

test('a response waits for room, which requests do not take', async () => {
  const memory = new BodyMemory(32 * MIB)
  fill(memory, 'a', 32 * MIB)
  const [first, second, third] = [memory.of('a'), memory.of('a'), memory.of('a')]
  await first.waitFor(64 * MIB, never)
  await second.waitFor(64 * MIB, never)
  const waiting = third.waitFor(64 * MIB, never)
  expect(await Promise.race([waiting, nextTurn('waits')])).toBe('waits')
  expect(await waits(memory.of('b'), 64 * MIB)).toBeUndefined()
  first.release()
  first.release()
  await waiting
})

test('a call that is over keeps nothing that it gets later', async () => {
  const memory = new BodyMemory(32 * MIB)
  const [first, second] = [memory.of('a'), memory.of('a')]
  await first.waitFor(128 * MIB, never)
  const late = second.waitFor(64 * MIB, never)
  second.release()
  first.release()
  await late
  expect(await waits(memory.of('a'), 200 * MIB)).toBeUndefined()
})
