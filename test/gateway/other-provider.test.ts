import { expect, test } from 'vitest'
import { openTestRuntime } from '../support/runtime.ts'

const ask = (model: string) => JSON.stringify({ model, max_tokens: 5, messages: [{ role: 'user', content: 'Hi.' }] })

test('a provider of the configuration is called at its own address, with its own key, at its own price', async () => {
  const cage = await openTestRuntime({
    environment: { GROQ_API_KEY: 'gsk-own' },
    others: { groq: { api_key_secret: 'GROQ_API_KEY' } },
  })
  const agent = cage.addAgent()
  const reply = await agent.send('groq', 'POST', '/v1/chat/completions', ask('penny'))
  expect(reply.status).toBe(200)
  expect(reply.headers['x-iron-cage-cost-usd']).toBe('0.005')
  expect(cage.provider.requests.map(({ url, headers }) => [url, headers.authorization])).toEqual([
    ['/groq/v1/chat/completions', 'Bearer gsk-own'],
  ])
})

test('an OpenAI key in a request never reaches another provider', async () => {
  const cage = await openTestRuntime({ others: { local: {} } })
  const agent = cage.addAgent()
  const headers = { 'content-type': 'application/json', authorization: 'Bearer sk-of-the-server' }
  const reply = await agent.send('local', 'POST', '/chat/completions', ask('penny'), headers)
  expect(reply.status).toBe(200)
  expect(cage.provider.requests[0]!.headers).not.toHaveProperty('authorization')
  expect(cage.provider.requests[0]!.headers).not.toHaveProperty('x-api-key')
})

test('a model of another provider without a price is not called', async () => {
  const cage = await openTestRuntime({ others: { local: {} } })
  const agent = cage.addAgent()
  const reply = await agent.send('local', 'POST', '/chat/completions', ask('my-own-model'))
  expect(reply.status).toBe(403)
  expect(cage.provider.requests).toEqual([])
})
