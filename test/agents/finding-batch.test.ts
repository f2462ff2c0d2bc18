import { expect, it } from 'vitest'
import { DayQuota } from '../../src/agents/day-quota.ts'
import { FindingBatch } from '../../src/agents/finding-batch.ts'
import { DEFAULT_POLICY } from '../../src/redaction/policy.ts'
import { Redactor } from '../../src/redaction/redactor.ts'
import { python } from '../support/agent-parts.ts'
import { program } from '../support/agents.ts'
import { TestClock } from '../support/clock.ts'
import { openTestRuntime } from '../support/runtime.ts'

const found = new Redactor(DEFAULT_POLICY).redact('to jane@example.org').findings

it('the first findings are recorded at once, and later ones in one batch a second', () => {
  const clock = new TestClock()
  const recorded: number[] = []
  const batch = new FindingBatch((findings) => recorded.push(findings.counts.get('email')!), clock)
  batch.add(found)
  clock.advance(1)
  expect(recorded).toEqual([1])
  for (let line = 0; line < 500; line += 1) batch.add(found)
  clock.advance(990)
  expect(recorded).toEqual([1])
  clock.advance(10)
  expect(recorded).toEqual([1, 500])
  batch.add(found)
  batch.flush()
  clock.advance(5_000)
  expect(recorded).toEqual([1, 500, 1])
})

it('an agent that prints thousands of addresses is few events, with every address counted and none shown', async () => {
  const cage = await openTestRuntime({ agent: { python }, log: { level: 'info' } })
  const { supervisor } = cage.runtime
  const { agentId } = await supervisor.start({ script: program('print_addresses.py'), args: ['5000'] })
  await supervisor.whenEnded(agentId)
  const found = cage.of('pii.found')
  expect(found.reduce((sum, { data }) => sum + (data.count ?? 1), 0)).toBe(5_000)
  expect(cage.runtime.state.read().agents[agentId]!.pii).toEqual({ email: 5_000 })
  const seconds = (Date.parse(found.at(-1)!.at) - Date.parse(found[0]!.at)) / 1_000
  expect(found.length).toBeLessThanOrEqual(seconds + 2)
  // Its lines are written a moment later.
  await cage.close()
  const log = cage.log()
  const lines = log.split('\n').filter((line) => line.includes('"message":"[EMAIL_REDACTED] wrote"'))
  expect(lines).toHaveLength(5_000)
  expect(log).not.toContain('@example.org')
})

it('a quota is for a day', () => {
  const clock = new TestClock()
  const quota = new DayQuota(10, clock)
  expect([quota.take(6), quota.take(6), quota.take(4), quota.take(1)]).toEqual([true, false, true, false])
  clock.advance(86_400_000)
  expect(quota.take(10)).toBe(true)
})
