import { describe, expect, test } from 'vitest'
import { configSchema } from '../../../src/config/schema.ts'
import { answer, hangs, sends } from '../../support/provider.ts'
import { openTestRuntime, type RuntimeOptions } from '../../support/runtime.ts'

const JSON_TYPE = { 'content-type': 'application/json' }

/** `penny` of openai, else of groq, else `dime` of openai. */
const FALLBACK = [
  { provider: 'groq', model: 'plain' },
  { provider: 'openai', model: 'dime' },
]

const openWithFallback = ({ fallback = FALLBACK, ...options }: RuntimeOptions & { fallback?: object[] } = {}) =>
  openTestRuntime({
    ...options,
    environment: { GROQ_API_KEY: 'gsk-own' },
    others: { openai: { fallback }, groq: { api_key_secret: 'GROQ_API_KEY' } },
  })

describe('a provider that cannot answer', () => {
  test.each([
    ['answers 500', sends(500, JSON_TYPE, {})],
    ['answers 429', sends(429, JSON_TYPE, {})],
  ])('when a provider %s, another model answers, at its own price and with its own key', async (_, does) => {
    const cage = await openWithFallback()
    const agent = cage.addAgent()
    cage.provider.doesOnce(does)
    const reply = await agent.chat()
    expect(reply.status).toBe(200)
    expect(reply.headers).toMatchObject({ 'x-iron-cage-tier': '2', 'x-iron-cage-model': 'groq/plain' })
    const [, second] = cage.provider.requests
    expect(second!.url).toContain('/groq/')
    expect(second!.headers.authorization).toBe('Bearer gsk-own')
    expect(JSON.parse(second!.body)).toMatchObject({ model: 'plain' })
    // One row each: the first released, the second charged at the price of its own model.
    expect(cage.rows().map(({ model, state, cost_nanos }) => [model, state, cost_nanos])).toEqual([
      ['penny', 'released', 0],
      ['plain', 'charged', 75_000],
    ])
    expect(cage.of('fallback.used')).toMatchObject([{ data: { service: 'openai', tier: 2 } }])
    expect(agent.balance()).toMatchObject({ spent: '0.000075', held: '0' })
  })

  test('the next is asked when the first of them cannot either, and a stream is answered so too', async () => {
    const cage = await openWithFallback()
    const agent = cage.addAgent()
    cage.provider.doesOnce(sends(503, JSON_TYPE, {}))
    cage.provider.doesOnce(sends(503, JSON_TYPE, {}))
    cage.provider.doesOnce(answer({ text: 'I am dear.' }))
    const reply = await agent.chat({ stream: true })
    expect(reply.text).toContain('dear.')
    expect(reply.headers['x-iron-cage-model']).toBe('openai/dime')
    expect(cage.rows().map(({ model, state }) => [model, state])).toEqual([
      ['penny', 'released'],
      ['plain', 'released'],
      ['dime', 'charged'],
    ])
  })

  test('when no provider can answer, the client gets the last refusal, and nothing is paid', async () => {
    const cage = await openWithFallback()
    const agent = cage.addAgent()
    cage.provider.does(sends(503, JSON_TYPE, { error: { message: 'overloaded' } }))
    const reply = await agent.chat()
    expect([reply.status, reply.json()]).toEqual([503, { error: { message: 'overloaded' } }])
    expect(cage.provider.requests).toHaveLength(3)
    expect(agent.balance()).toMatchObject({ spent: '0', held: '0' })
  })

  test('a provider with an open circuit is sent nothing, and the call counts as answered', async () => {
    const cage = await openWithFallback()
    const agent = cage.addAgent()
    cage.runtime.circuits.open('openai/penny', 'test')
    expect((await agent.chat()).headers['x-iron-cage-model']).toBe('groq/plain')
    expect(cage.provider.requests).toHaveLength(1)
    expect(cage.runtime.state.read().circuits['openai/penny']).toMatchObject({ blocked: 1, unanswered: 0 })
  })
})

test('a client error is not retried on the fallback', async () => {
  const cage = await openWithFallback()
  cage.provider.does(sends(400, JSON_TYPE, { error: { message: 'no' } }))
  expect((await cage.addAgent().chat()).status).toBe(400)
  expect(cage.provider.requests).toHaveLength(1)
})

test('a fallback that does not fit into the budget is not sent', async () => {
  const cage = await openWithFallback({
    fallback: [{ provider: 'openai', model: 'dime' }],
    budget: { limit_usd: '0.02', clamp_max_tokens: false, on_exhausted: 'refuse' },
  })
  cage.provider.does(sends(500, JSON_TYPE, {}))
  const reply = await cage.addAgent({ limit: '0.02' }).chat()
  expect(reply.status).toBe(402)
  expect(cage.provider.requests).toHaveLength(1)
})

test('a client that leaves is not replaced by another model', async () => {
  const cage = await openWithFallback()
  const agent = cage.addAgent()
  cage.provider.does(hangs)
  const gone = new AbortController()
  const left = agent.open({}, gone.signal).catch(() => 'left')
  await cage.provider.arrived(1)
  gone.abort()
  expect(await left).toBe('left')
  await cage.event('call.failed')
  expect(cage.provider.requests).toHaveLength(1)
})

test.each([
  ['is not configured', { openai: { fallback: [{ provider: 'nobody', model: 'm' }] } }],
  ['speaks otherwise', { openai: { fallback: [{ provider: 'anthropic', model: 'm' }] } }],
])('a fallback to a provider that %s is a mistake in the configuration', (_, providers) => {
  const result = configSchema.safeParse({ providers })
  expect(result.error?.issues).toMatchObject([{ path: ['providers', 'openai', 'fallback', 0, 'provider'] }])
})
