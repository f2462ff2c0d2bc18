import { expect, test } from 'vitest'
import { runFleet } from '../../../scripts/soak/fleet/fleet.ts'

test('under kills, cuts and losses nothing is overspent, and the books of a fleet close', async () => {
  const result = await runFleet({ seconds: 6, machines: 3, panels: 2, callers: 3, faultIntervalMs: 250 })
  expect(result.violations).toEqual([])
  expect(result.looks).toBeGreaterThan(0)
  expect(result.kills).toBeGreaterThan(0)
  expect(Number(result.provider_usd)).toBeGreaterThan(0)
  expect(Number(result.settled_usd)).toBeGreaterThanOrEqual(Number(result.provider_usd))
  expect(Number(result.settled_usd)).toBeLessThanOrEqual(Number(result.limit_usd))
})
