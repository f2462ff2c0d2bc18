/** Agents that fail after they have called: the calls that are paid again, and the errors that are not retried. */
import { expect, it } from 'vitest'
import { python } from '../support/agent-parts.ts'
import { program } from '../support/agents.ts'
import { openTestRuntime, type RuntimeOptions } from '../support/runtime.ts'

/** Runs the program that calls each of these models and then fails, to its end. */
async function callAndFail(models: string[], options: RuntimeOptions = {}) {
  const cage = await openTestRuntime({ ...options, agent: { python, ...options.agent } })
  const { supervisor } = cage.runtime
  const { agentId } = await supervisor.start({ script: program('call_models.py'), args: models })
  const { state } = await supervisor.whenEnded(agentId)
  return {
    state,
    reason: cage.runtime.state.read().agents[agentId]!.reason,
    lives: cage.of('agent.started').length,
    paid: cage.rows().length,
  }
}

it('a KeyError after a paid call is paid three times, and then no more', async () => {
  expect(await callAndFail(['penny'])).toEqual({
    state: 'crash_loop',
    reason: expect.stringMatching(/^exit code 1; 3 lives without progress: KeyError: /),
    lives: 3,
    paid: 3,
  })
})

it('a program whose model is refused is not started again', async () => {
  expect(await callAndFail(['no-such-model'])).toEqual({
    state: 'failed',
    reason: 'exit code 1 after its call was refused (price_unknown)',
    lives: 1,
    paid: 0,
  })
})

it('a program whose money is spent is not started again, also when its budget only refuses', async () => {
  const budget = { limit_usd: '0.005', on_exhausted: 'refuse', clamp_max_tokens: false }
  expect(await callAndFail(['penny', 'penny'], { budget })).toMatchObject({
    state: 'failed',
    reason: 'exit code 1 after its call was refused (budget_exceeded)',
    lives: 1,
  })
})

it('a refusal that the program survived is not why it fails later', async () => {
  const answered = await callAndFail(['?no-such-model', 'penny'], { agent: { restart: { without_progress: 0 } } })
  expect(answered).toMatchObject({
    state: 'crash_loop',
    reason: expect.stringMatching(/^exit code 1; a life without progress: KeyError/),
  })
})
