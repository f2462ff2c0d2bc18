/** A short form of `scripts/soak/rotate-keys.ts`. */
import { expect, test } from 'vitest'
import { keyNumber, rotateUnderLoad } from '../../scripts/soak/rotations.ts'

test('four rotations under fifty calls a second of the real client: none fails, and the process stays the same', async () => {
  const { calls, failures, failed, pids, order } = await rotateUnderLoad(5, 4)
  expect(failures).toEqual([])
  expect(failed).toBe(0)
  expect(calls).toBeGreaterThan(50)
  expect(pids[1]).toBe(pids[0])
  expect(order).toEqual([0, 1, 2, 3, 4].map(keyNumber))
})
