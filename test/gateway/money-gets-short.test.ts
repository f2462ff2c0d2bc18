/** The effect of a nearly or wholly spent budget on a call: it waits for a raise, or a cheaper model answers it. */
import { expect, test } from 'vitest'
import { loadConfig } from '../../src/config/config.ts'
import { answer } from '../support/provider.ts'
import { openTestRuntime, PRICES, until } from '../support/runtime.ts'

const paused = (pause_s = 600) => openTestRuntime({ budget: { on_exhausted: 'pause', pause_s } })

test('a call that its budget cannot pay waits until a person raises it, and is then sent with its own limit', async () => {
  const cage = await paused()
  const agent = cage.addAgent({ limit: '0.005' })
  const { access_token } = await cage.login()
  const calls = [agent.chat({ max_tokens: 7 }), agent.chat({ max_tokens: 8 })]
  const exhausted = await cage.event('budget.exhausted')
  expect(exhausted.data).toMatchObject({ waits_s: 600, needed_usd: expect.any(String) })
  expect(exhausted.message).toContain('calls wait up to 10 min for a raise')
  await cage.post(`/api/agents/${agent.id}/budget`, { add_usd: '0.004' }, access_token, 'PATCH')
  const first = await Promise.race(calls)
  expect(first.status).toBe(200)
  await cage.post(`/api/agents/${agent.id}/budget`, { add_usd: '1' }, access_token, 'PATCH')
  expect((await Promise.all(calls)).map(({ status }) => status)).toEqual([200, 200])
  expect(cage.provider.requests.map(({ body }) => JSON.parse(body).max_tokens).sort()).toEqual([7, 8])
  expect(cage.of('call.refused')).toEqual([])
})

test('a call without a limit that waited gets the limit that the raised budget pays for', async () => {
  const cage = await paused()
  const agent = cage.addAgent({ limit: '0' })
  const { access_token } = await cage.login()
  const call = agent.chat({ max_tokens: undefined })
  await cage.event('budget.exhausted')
  await cage.post(`/api/agents/${agent.id}/budget`, { limit_usd: '20' }, access_token, 'PATCH')
  expect((await call).status).toBe(200)
  expect(JSON.parse(cage.provider.requests[0]!.body).max_completion_tokens).toBeGreaterThan(1_000)
})

test('a call whose budget is not raised in time is refused with the reason, and holds no money', async () => {
  const cage = await paused(0.2)
  const agent = cage.addAgent({ limit: '0.005' })
  const reply = await agent.chat({ max_tokens: 7 })
  expect(reply.status).toBe(402)
  expect(reply.text).toContain('and nobody raised it within')
  expect(reply.json().error).toMatchObject({ code: 'budget_exceeded', facts: { waited_s: 0.2 } })
  expect(agent.balance()).toMatchObject({ spent: '0', held: '0' })
})

test('a call whose client leaves while it waits is never sent', async () => {
  const cage = await paused()
  const agent = cage.addAgent({ limit: '0.005' })
  const leaving = new AbortController()
  const call = agent.open({ max_tokens: 7 }, leaving.signal).catch(() => 'left')
  await cage.event('budget.exhausted')
  leaving.abort()
  expect(await call).toBe('left')
  const { access_token } = await cage.login()
  await cage.post(`/api/agents/${agent.id}/budget`, { add_usd: '1' }, access_token, 'PATCH')
  expect((await agent.chat({ max_tokens: 7 })).status).toBe(200)
  expect(cage.provider.requests).toHaveLength(1)
})

test.each([
  { on_warn: 'openai/penny', asked: 'dime', answered: 'penny' },
  { on_warn: 'openai/dime', asked: 'penny', answered: 'penny' },
  { on_warn: 'anthropic/penny', asked: 'dime', answered: 'dime' },
  { on_warn: 'openai/unpriced', asked: 'dime', answered: 'dime' },
])('after the warning a call to $asked is answered by $answered with on_warn $on_warn', async (row) => {
  const cage = await openTestRuntime({ budget: { on_warn: { model: row.on_warn }, warn_at: [0.1] }, prices: PRICES })
  const agent = cage.addAgent({ limit: '10' })
  const models = () => cage.provider.requests.map(({ body }) => JSON.parse(body).model as string)
  cage.provider.does(answer({ usage: { prompt_tokens: 1, completion_tokens: 10 } }))
  await agent.chat({ model: row.asked, max_tokens: 10 })
  expect(models()).toEqual([row.asked])
  await agent.chat({ model: 'dime', max_tokens: 10 })
  await until(() => cage.of('budget.warned').length > 0, 'it warned')
  const reply = await agent.chat({ model: row.asked, max_tokens: 10 })
  expect(models().at(-1)).toBe(row.answered)
  if (row.asked !== row.answered) expect(reply.headers['x-iron-cage-model']).toBe(row.on_warn)
})

test('a cheaper model of a provider that is not configured is a mistake in the configuration', () => {
  const flags = [{ key: ['budget', 'on_warn', 'model'], value: 'groq/small', origin: 'the test' }]
  expect(() => loadConfig({ flags, env: { settings: [] }, cwd: '/' })).toThrow('a model of a configured provider')
})

test('an MCP connector that a whole budget cannot pay is refused with the reason; the second such call exhausts it', async () => {
  const cage = await openTestRuntime()
  const agent = cage.addAgent({ limit: '20' })
  const connector = { type: 'url', url: 'https://mcp.example.com/sse', name: 'docs' }
  const asked = { model: 'plain', max_tokens: 9, messages: [{ role: 'user', content: 'x' }], mcp_servers: [connector] }
  const ask = () => agent.send('anthropic', 'POST', '/v1/messages', JSON.stringify(asked))
  const { status, text } = await ask()
  expect([status, text]).toEqual([402, expect.stringContaining('has $20.00 of $20.00 left: each use of a tool that')])
  expect(text).toContain('leave them out (mcp_servers, tools), or approve an increase')
  expect(cage.of('budget.exhausted')).toEqual([])
  expect(cage.of('call.refused')).toHaveLength(1)
  expect((await agent.chat()).status).toBe(200)

  const other = cage.addAgent({ limit: '20' })
  const again = () => other.send('anthropic', 'POST', '/v1/messages', JSON.stringify(asked))
  expect([(await again()).status, (await again()).status]).toEqual([402, 402])
  expect(cage.of('budget.exhausted').map(({ agent_id }) => agent_id)).toEqual([other.id])
  expect(cage.provider.requests).toHaveLength(1)
})
