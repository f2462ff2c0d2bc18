import { describe, expect, test } from 'vitest'
import { Prices } from '../../src/budget/prices.ts'
import { configSchema } from '../../src/config/schema.ts'
import { systemClock } from '../../src/core/clock.ts'
import { DIALECTS } from '../../src/dialects/dialects.ts'
import { BUILT_IN, gatewayVariables, KNOWN_PROVIDER_NAMES, knownProvider } from '../../src/dialects/known-providers.ts'
import { normalizePath } from '../../src/dialects/routes.ts'
import { sends } from '../support/provider.ts'
import { openTestRuntime } from '../support/runtime.ts'

const WITH_ADDRESS = KNOWN_PROVIDER_NAMES.filter((name) => knownProvider(name)!.baseUrl)

test.each(WITH_ADDRESS)('%s: a name alone is a provider', (name) => {
  const { providers } = configSchema.parse({ providers: { [name]: {} } })
  expect(Object.keys(providers).sort()).toEqual([...new Set([...BUILT_IN, name])].sort())
})

test('azure needs an address: every customer has another one', () => {
  const { error } = configSchema.safeParse({ providers: { azure: {} } })
  expect(error?.issues).toMatchObject([{ path: ['providers', 'azure', 'base_url'] }])
})

test("every dialect has a provider of the same name with the vendor's hosts", () => {
  for (const name of Object.keys(DIALECTS)) {
    expect(knownProvider(name)?.dialect).toBe(name)
    expect(knownProvider(name)?.vendorHosts).toBeDefined()
  }
})

test('no variable points to two providers', () => {
  const variables = KNOWN_PROVIDER_NAMES.flatMap((name) => Object.keys(knownProvider(name)!.agentVariables('')))
  expect(variables).toEqual([...new Set(variables)])
  expect(gatewayVariables('http://cage', ['groq'])).toMatchObject({ GROQ_BASE_URL: 'http://cage/groq' })
})

test.each([
  ['openai', '/openai/v1/chat/completions', '/chat/completions'],
  ['openai', '/api/v1/chat/completions', '/chat/completions'],
  ['openai', '/inference/v1/chat/completions', '/chat/completions'],
  ['openai', '/v1/v1/chat/completions', '/chat/completions'],
  ['anthropic', '/anthropic/v1/messages', '/v1/messages'],
  ['google', '/v1alpha/models/x:countTokens', '/v1alpha/models/x:countTokens'],
  ['azure', '/deployments/x/chat/completions', '/openai/deployments/x/chat/completions'],
  ['azure', '/openai/responses', '/openai/responses'],
  ['azure', '/v1/responses', '/openai/v1/responses'],
] as const)('%s: %s is sent as %s', (dialect, given, sent) => {
  const { prefix, path } = normalizePath(given, DIALECTS[dialect])
  expect(prefix + path).toBe(sent)
})

describe('prices', () => {
  const prices = (providers: Record<string, { base_url?: string }>) =>
    new Prices({ prices: {}, providers }, systemClock)

  test.each([
    ['xai', 'grok-4'],
    ['groq', 'llama-3.3-70b-versatile'],
    ['deepseek', 'deepseek-chat'],
    ['mistral', 'mistral-large-latest'],
    ['azure', 'gpt-4o'],
  ])('the price of %s/%s is on the list', async (provider, model) => {
    const price = await prices({ [provider]: {} }).get(provider, model)
    expect(price.input.base).toBeGreaterThan(0)
  })

  test.each([
    ['openai', 'https://openrouter.ai/api/v1', 'anthropic/claude-sonnet-4.5', 'openrouter'],
    ['openai', 'https://api.groq.com/openai/v1', 'llama-3.3-70b-versatile', 'groq'],
    ['openai', 'https://api.deepseek.com', 'deepseek-chat', 'deepseek'],
    ['openai', 'https://generativelanguage.googleapis.com/v1beta/openai/', 'gemini-2.5-flash', 'google'],
    ['openai', 'https://mine.openai.azure.com/openai/v1/', 'gpt-4o', 'azure'],
    ['anthropic', 'https://api.deepseek.com/anthropic', 'deepseek-chat', 'deepseek'],
    ['mine', 'https://openrouter.ai/api/v1', 'openai/gpt-4o-mini', 'openrouter'],
  ])('%s at %s has the prices of that vendor', async (name, base_url, model, vendor) => {
    const price = await prices({ [name]: { base_url } }).get(name, model)
    expect(price).toEqual(await prices({ [vendor]: {} }).get(vendor, model))
  })

  test.each(['http://openrouter.ai/api/v1', 'https://openrouter.ai.example.com/v1', 'https://proxy.example.com/v1'])(
    'openai at %s has the prices of OpenAI, and a refusal explains how to name the server',
    async (base_url) => {
      const elsewhere = prices({ openai: { base_url } })
      expect(await elsewhere.get('openai', 'gpt-4o')).toEqual(await prices({ openai: {} }).get('openai', 'gpt-4o'))
      await expect(elsewhere.get('openai', 'anthropic/claude-sonnet-4.5')).rejects.toMatchObject({
        code: 'price_unknown',
        hint: expect.stringContaining(`"openai" is the server at ${base_url}`),
      })
    },
  )

  test('a local server costs nothing on this machine, and has no price elsewhere', async () => {
    expect((await prices({ vllm: {} }).get('vllm', 'qwen3')).output.base).toBe(0)
    const elsewhere = prices({ vllm: { base_url: 'https://gpu.company.com/v1' } }).get('vllm', 'qwen3')
    await expect(elsewhere).rejects.toMatchObject({ code: 'price_unknown' })
    await expect(prices({ groq: {} }).get('groq', 'qwen-unheard-of')).rejects.toMatchObject({ code: 'price_unknown' })
  })
})

test('a call of a client that sends the vendor’s prefix is charged and redacted', async () => {
  const cage = await openTestRuntime({ others: { groq: {} } })
  const message = { role: 'assistant', content: 'Ask jane.roe@northwind-traders.com.' }
  const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 }
  const choices = [{ index: 0, message, finish_reason: 'stop' }]
  cage.provider.does(sends(200, { 'content-type': 'application/json' }, { id: 'c', model: 'plain', choices, usage }))
  const body = JSON.stringify({ model: 'plain', max_tokens: 5, messages: [] })
  const answer = await cage.addAgent().send('groq', 'POST', '/openai/v1/chat/completions', body)
  expect(answer.text).toContain('[EMAIL_REDACTED]')
  expect(cage.rows()).toMatchObject([{ state: 'charged', cost_nanos: 75_000 }])
})
