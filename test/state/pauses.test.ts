/** A pause is neither latency nor working time. */
import { expect, test } from 'vitest'
import type { EventData, EventType, RuntimeEvent } from '../../src/core/events.ts'
import { toAgentId } from '../../src/core/ids.ts'
import { applyEvent } from '../../src/state/apply-event.ts'
import { figures } from '../../src/state/figures.ts'
import { emptySnapshot } from '../../src/state/snapshot.ts'
import { agentStarted } from '../support/events.ts'

const id = toAgentId('a-1')
const START_MS = Date.parse('2026-01-02T03:00:00.000Z')

function figuresAfter(list: readonly { [T in EventType]: [number, T, EventData[T]] }[EventType][]) {
  let snapshot = emptySnapshot()
  for (const [index, [second, type, data]] of list.entries()) {
    const at = new Date(START_MS + second * 1000).toISOString()
    const event = { seq: index + 1, at, agent_id: id, level: 'INFO', type, message: type, data }
    snapshot = applyEvent(snapshot, event as RuntimeEvent)
  }
  return figures(snapshot.agents[id]!, START_MS + 20_000)
}

const unit = (latency_ms: number): EventData['unit.completed'] => ({
  outcome: 'succeeded',
  degraded: false,
  unit: 'lead',
  label: null,
  latency_ms,
  reason: null,
})
const progress = (done: number): EventData['progress.updated'] => ({ done, total: 10, unit: 'leads', label: null })

test('a unit during which its agent was paused took no longer for it, and the pause slows nothing down', () => {
  const { p95_ms, per_hour } = figuresAfter([
    [0, 'agent.started', agentStarted],
    [1, 'unit.completed', unit(1_000)],
    [1, 'progress.updated', progress(1)],
    [1.5, 'agent.paused', { by: 'operator' }],
    [7.5, 'agent.resumed', { by: 'operator' }],
    [8, 'unit.completed', unit(7_000)],
    [8, 'progress.updated', progress(2)],
  ])
  // Buckets of the histogram are 5% wide.
  expect(p95_ms).toBeGreaterThan(900)
  expect(p95_ms).toBeLessThan(1_100)
  expect(per_hour).toBe(3_600)
})

test('a pause that ended before a unit began does not shorten it', () => {
  const { p95_ms } = figuresAfter([
    [0, 'agent.started', agentStarted],
    [1, 'agent.paused', { by: 'operator' }],
    [3, 'agent.resumed', { by: 'operator' }],
    [10, 'unit.completed', unit(5_000)],
  ])
  expect(p95_ms).toBeGreaterThan(4_700)
})
