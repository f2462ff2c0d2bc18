import { describe, expect, test } from 'vitest'
import { explore } from './explore.ts'
import {
  A_FAILOVER,
  A_LOST_DISK,
  A_POWER_FAILURE,
  LATE_MESSAGES,
  LIVENESS_RULE,
  leaseModel,
  ONE_RUNTIME,
  RULES,
  type Rule,
} from './lease-model.ts'

describe('leases of a shared budget, in every order of events', () => {
  test.each([
    ['a crash and a lost disk', A_LOST_DISK],
    ['a power failure', A_POWER_FAILURE],
    ['two messages under way', LATE_MESSAGES],
    ['a database that fails over to one that is behind', A_FAILOVER],
  ])('with %s the limit of shared leases is never overspent, and the books can always be closed', (_, bounds) => {
    const { states, violation, stuck } = explore(leaseModel(bounds))
    expect(violation).toBeUndefined()
    expect(stuck).toBe(0)
    expect(states).toBeGreaterThan(5_000)
  })

  test.each(Object.entries(RULES))('a counterexample is found without the rule that %s', (rule, bounds) => {
    expect(explore(leaseModel(bounds, rule as Rule)).violation).toBeDefined()
  })

  test(`money is stranded until the next start without the rule that ${LIVENESS_RULE}`, () => {
    expect(explore(leaseModel(ONE_RUNTIME)).stuck).toBe(0)
    const without = explore(leaseModel(ONE_RUNTIME, LIVENESS_RULE))
    expect(without.violation).toBeUndefined()
    expect(without.stuck).toBeGreaterThan(0)
  })
})
