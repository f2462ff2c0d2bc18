/** Parts of an agent's work, and agents without a process, through the API. */

import { describe, expect, test } from 'vitest'
import type { AgentId } from '../../src/core/ids.ts'
import { openTestRuntime, type Reply, send, type TestRuntime } from '../support/runtime.ts'

interface Begun {
  agent_id: AgentId
  run_id: string
  token: string
}

const begin = async (cage: TestRuntime, token: string, body: object = {}): Promise<Begun> =>
  (await cage.post('/api/run/begin', body, token)).json() as unknown as Begun

/** A call that costs $0.004. */
const chat = (cage: TestRuntime, token: string): Promise<Reply> =>
  send(`${cage.url}/gateway/${token}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer sk-of-the-agent' },
    body: JSON.stringify({ model: 'penny', max_tokens: 4, messages: [{ role: 'user', content: 'Say hello.' }] }),
  })

const budgetOf = async (cage: TestRuntime, token: string) => (await cage.get('/api/run', token)).json().budget

describe('a part of the work', () => {
  test('a part has a hard limit within the limit of its agent, and its spending counts in both', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent({ limit: '10' })
    const part = await begin(cage, agent.token, { budget_usd: '0.005' })
    expect((await chat(cage, part.token)).status).toBe(200)
    const spent = agent.balance().spent
    expect(Number(spent)).toBeGreaterThan(0)
    expect(await budgetOf(cage, part.token)).toMatchObject({ limit_usd: '0.005', spent_usd: spent })
    expect(await budgetOf(cage, agent.token)).toMatchObject({ limit_usd: '10', spent_usd: spent })
    const refused = await chat(cage, part.token)
    expect([refused.status, refused.text]).toMatchObject([402, expect.stringContaining('this part of its work has')])
    expect((await agent.chat()).status).toBe(200)
  })

  test('a part of the work is refused without stopping the agent and without an alert', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    const part = await begin(cage, agent.token, { budget_usd: '0' })
    expect((await chat(cage, part.token)).status).toBe(402)
    expect([cage.of('budget.exhausted'), cage.of('budget.warned'), cage.of('alert.raised')]).toEqual([[], [], []])
  })

  test('a part of the work within a part is paid by every part around it', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    const outer = await begin(cage, agent.token, { budget_usd: '0.005' })
    const inner = await begin(cage, outer.token, { budget_usd: '5' })
    expect(await budgetOf(cage, inner.token)).toMatchObject({ limit_usd: '5', remaining_usd: '0.005' })
    expect((await chat(cage, inner.token)).status).toBe(200)
    expect((await chat(cage, inner.token)).status).toBe(402)
    expect((await chat(cage, outer.token)).status).toBe(402)
  })

  test("a part of the work never passes its run's limit either", async () => {
    const cage = await openTestRuntime({ budget: { per_run_usd: '0.005' } })
    const agent = cage.addAgent()
    const part = await begin(cage, agent.token, { budget_usd: '5' })
    expect((await chat(cage, part.token)).status).toBe(200)
    expect((await chat(cage, part.token)).status).toBe(402)
  })

  test('the token of an ended part makes no more calls, and the agent goes on', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    const part = await begin(cage, agent.token, { budget_usd: '5' })
    expect((await cage.post('/api/run/end', { state: 'completed' }, part.token)).status).toBe(204)
    expect((await chat(cage, part.token)).status).toBe(401)
    expect((await agent.chat()).status).toBe(200)
    expect(cage.of('agent.exited')).toEqual([])
  })

  test('a part of the work does not outlive the run or the token that it was begun with', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    const outer = await begin(cage, agent.token)
    const inner = await begin(cage, outer.token, { budget_usd: '5' })
    cage.runtime.runTokens.revoke(agent.runId)
    expect([(await chat(cage, outer.token)).status, (await chat(cage, inner.token)).status]).toEqual([401, 401])
    const { access_token } = await cage.login()
    const created = (await cage.post('/api/tokens', { name: 'notebook' }, access_token)).json()
    const run = await begin(cage, created.token as string)
    const headers = { authorization: `Bearer ${access_token}` }
    await send(`${cage.url}/api/tokens/${created.id}`, { method: 'DELETE', headers })
    expect((await chat(cage, run.token)).status).toBe(401)
  })

  test('a part of the work cannot end a run that has a process', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    expect((await cage.post('/api/run/end', { state: 'completed' }, agent.token)).status).toBe(409)
  })
})

describe('an agent without a process', () => {
  test('an agent without a process makes calls with a run token, and ends when it reports its end', async () => {
    const cage = await openTestRuntime()
    const { access_token } = await cage.login()
    const created = (await cage.post('/api/tokens', { name: 'notebook', budget_usd: '5' }, access_token)).json()
    const key = created.token as string
    const run = await begin(cage, key)
    expect(run.agent_id).toBe(created.agent_id)
    expect((await chat(cage, run.token)).status).toBe(200)
    await cage.post('/api/run/end', { state: 'failed', reason: 'ValueError' }, key)
    expect(cage.of('agent.exited')).toMatchObject([
      { agent_id: run.agent_id, message: 'notebook failed: ValueError', data: { state: 'failed', exit_code: null } },
    ])
    expect((await chat(cage, run.token)).status).toBe(401)
  })

  test('an agent without a process leaves no checkpoint when it is done', async () => {
    const cage = await openTestRuntime()
    const { access_token } = await cage.login()
    const key = (await cage.post('/api/tokens', { name: 'notebook' }, access_token)).json().token as string
    await cage.post('/api/run/checkpoint', { data: 3 }, key, 'PUT')
    await cage.post('/api/run/end', { state: 'failed' }, key)
    expect((await cage.get('/api/run/checkpoint', key)).json()).toMatchObject({ data: 3 })
    await cage.post('/api/run/end', { state: 'completed' }, key)
    expect((await cage.get('/api/run/checkpoint', key)).status).toBe(404)
  })

  test('an agent without a process reads its own metrics', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    await agent.chat()
    await cage.post('/api/run/outcomes', { outcome: 'succeeded' }, agent.token)
    expect((await cage.get('/api/run/metrics', agent.token)).json()).toMatchObject({
      calls: { completed: 1, failed: 0 },
      outcomes: { succeeded: 1, failed: 0 },
      by_model: { penny: { calls: 1 } },
      pii: {},
      figures: { success: '100% (1/1)' },
    })
  })
})
