/** Who gets past the first gate of the road, and when. */

import { describe, expect, test } from 'vitest'
import type { EventType } from '../../src/core/events.ts'
import { toAgentId, toRunId } from '../../src/core/ids.ts'
import { usd } from '../../src/core/money.ts'
import { waitUntilRunnable } from '../../src/gateway/wait-until-runnable.ts'
import { openWorld } from '../breaker/support.ts'

const AGENT = toAgentId('lg-7a3f9c2d')
const RUN = toRunId('run_0')
const supervised = { agentId: AGENT, runId: RUN } as Parameters<typeof waitUntilRunnable>[1]

function openGate() {
  const world = openWorld()
  const about = { level: 'INFO', agent_id: AGENT, message: '' } as const
  world.state.record({
    ...about,
    type: 'agent.started',
    data: {
      run_id: RUN,
      name: 'worker',
      script: 'worker.py',
      environment: 'development',
      pid: 1,
      restart: 0,
      limit_usd: usd('1'),
      safety_mode: 'redact',
      detect: [],
    },
  })
  const tell = (type: Extract<EventType, 'agent.paused' | 'agent.resumed'>) =>
    world.state.record({ ...about, type, data: { by: 'ann' } })
  return { ...world, tell }
}

const stillWaits = async (promise: Promise<void>) => {
  const settled = await Promise.race([promise.then(() => true), new Promise((done) => setImmediate(done, false))])
  return settled === false
}

describe('a call that arrives right after its agent was paused', () => {
  test('a call that arrives right after its agent was paused waits, and goes on when the agent does', async () => {
    const { state, clock, tell } = openGate()
    tell('agent.paused')
    clock.advance(900)
    const passage = waitUntilRunnable(state, supervised, new AbortController().signal)
    expect(await stillWaits(passage)).toBe(true)
    clock.advance(600_000)
    tell('agent.resumed')
    await passage
  })

  test('a call that arrives right after its agent was paused is refused when the agent ends meanwhile', async () => {
    const { state, tell } = openGate()
    tell('agent.paused')
    const passage = waitUntilRunnable(state, supervised, new AbortController().signal)
    const end = {
      exit_code: null,
      signal: 'SIGTERM',
      state: 'stopped',
      reason: 'stopped',
      restart_in_ms: null,
    } as const
    const data = { ...end, run_id: RUN }
    state.record({ type: 'agent.exited', level: 'INFO', agent_id: AGENT, message: '', data })
    await expect(passage).rejects.toMatchObject({ code: 'agent_not_running' })
  })

  test('a call that arrives right after its agent was paused ends when its client leaves', async () => {
    const { state, tell } = openGate()
    tell('agent.paused')
    const client = new AbortController()
    const passage = waitUntilRunnable(state, supervised, client.signal)
    client.abort(new Error('gone'))
    await expect(passage).rejects.toThrow('gone')
  })
})

describe('a call of a paused agent is refused', () => {
  test('a call of a paused agent is refused when it was sent after the process was stopped', async () => {
    const { state, clock, tell } = openGate()
    tell('agent.paused')
    clock.advance(1_001)
    await expect(waitUntilRunnable(state, supervised, new AbortController().signal)).rejects.toMatchObject({
      code: 'agent_paused',
      facts: { agent_id: AGENT },
    })
  })

  test('a call of a paused agent is refused when its client is not supervised, so that nothing stopped it', async () => {
    const { state, tell } = openGate()
    tell('agent.paused')
    const token = { agentId: AGENT, runId: null } as typeof supervised
    await expect(waitUntilRunnable(state, token, new AbortController().signal)).rejects.toMatchObject({
      code: 'agent_paused',
    })
  })
})
