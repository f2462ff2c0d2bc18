/** The running total beside the lines of an agent's work. */
import { expect, test } from 'vitest'
import { SpendingNotes } from '../../../src/cli/start/spending-notes.ts'
import type { RuntimeEvent } from '../../../src/core/events.ts'
import { toAgentId, toCallId } from '../../../src/core/ids.ts'
import { usd } from '../../../src/core/money.ts'
import type { AgentView } from '../../../src/state/snapshot.ts'

const id = toAgentId('lg-7a3f9c2d')
const agent = { id, limit_usd: usd('50'), spent_usd: usd('45.55'), period: null } as AgentView
const facts = { seq: 1, at: '2026-11-21T12:00:00.000Z', agent_id: id, level: 'INFO', message: '' } as const

const call = (model: string, baseline: string | null) =>
  ({
    ...facts,
    type: 'call.completed',
    data: { model, baseline_usd: baseline, call_id: toCallId('c-1') },
  }) as RuntimeEvent
const unit = { ...facts, type: 'unit.completed', data: {} } as RuntimeEvent

test('a unit of work is followed by the money spent, and once by a cheaper model that the agent has changed to', () => {
  const notes = new SpendingNotes({ read: () => ({ agents: { [id]: agent } }) })
  const noteAfter = (...events: RuntimeEvent[]) => {
    for (const event of events) notes.see(event)
    return notes.of(unit)
  }
  expect(noteAfter(call('gpt-4', null))).toBe(' · $45.55 of $50.00')
  expect(noteAfter(call('gpt-3.5-turbo', '0.09'))).toBe(' · $45.55 of $50.00 · now on gpt-3.5-turbo instead of gpt-4')
  expect(noteAfter(call('gpt-3.5-turbo', '0.09'))).toBe(' · $45.55 of $50.00')
  expect(notes.of({ ...facts, type: 'agent.output', data: { stream: 'stdout', text: '' } })).toBe('')
})
