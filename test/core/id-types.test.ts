import { describe, expectTypeOf, test } from 'vitest'
import type { EventData, RuntimeEvent } from '../../src/core/events.ts'
import {
  type AgentId,
  type CallId,
  newAgentId,
  newCallId,
  newRunId,
  type RunId,
  toAgentId,
} from '../../src/core/ids.ts'
import type { AgentView } from '../../src/state/snapshot.ts'

/** Proved by `tsc`, which reads the tests as well: each line with a directive is an error, or the directive is one. */
describe('an id', () => {
  test('an id is a text, but a text is no id', () => {
    expectTypeOf<AgentId>().toExtend<string>()
    // @ts-expect-error: a plain string
    const agent: AgentId = 'lg-7a3f9c2d'
    // @ts-expect-error: a plain string
    const run: RunId = 'run-5f0c2b9e41d3'
    // @ts-expect-error: a plain string
    const call: CallId = 'call-19aa0b1c2d3e4f5a6b7c8'
    expectTypeOf([agent, run, call] as string[]).toEqualTypeOf<string[]>()
  })

  test('an id of one thing is none of another', () => {
    // @ts-expect-error: a run is no agent
    const agent: AgentId = newRunId()
    // @ts-expect-error: a call is no run
    const run: RunId = newCallId()
    // @ts-expect-error: an agent is no call
    const call: CallId = newAgentId('agent.py')
    expectTypeOf([agent, run, call] as string[]).toEqualTypeOf<string[]>()
  })

  test('events, the snapshot and parsed ids have branded types', () => {
    expectTypeOf<RuntimeEvent['agent_id']>().toEqualTypeOf<AgentId | null>()
    expectTypeOf<EventData['call.completed']['call_id']>().toEqualTypeOf<CallId>()
    expectTypeOf<AgentView['id']>().toEqualTypeOf<AgentId>()
    expectTypeOf<AgentView['run_id']>().toEqualTypeOf<RunId>()
    expectTypeOf(toAgentId('lg-7a3f9c2d')).toEqualTypeOf<AgentId>()
  })
})
