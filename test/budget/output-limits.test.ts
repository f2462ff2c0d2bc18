/** Limits as providers check them: no limit that is written is one that they refuse. */

import { globSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { boundCall } from '../../src/budget/estimate.ts'
import { namedLimit } from '../../src/budget/output-limits.ts'
import { BUILT_IN_LIST } from '../../src/budget/price-list.ts'
import { Prices } from '../../src/budget/prices.ts'
import { systemClock } from '../../src/core/clock.ts'
import { TEXT_ONLY } from '../../src/dialects/dialect.ts'
import { dollars } from '../support/money.ts'
import { type Script, sends } from '../support/provider.ts'
import { openTestRuntime } from '../support/runtime.ts'

/** The limits that the providers check: a separate list from the clients' environment. */
const root = resolve(import.meta.dirname, '../..')
const [file] = globSync(
  '.venv-test-litellm/lib/python3*/site-packages/litellm/model_prices_and_context_window_backup.json',
  {
    cwd: root,
  },
)
const LIMITS = JSON.parse(readFileSync(resolve(root, file!), 'utf8')) as Record<string, { max_output_tokens?: number }>

/** Answers, unless more is asked for than the model gives. */
const checks: Script = (response, { body }) => {
  const { model, max_tokens, max_completion_tokens } = JSON.parse(body) as Record<string, number>
  const asked = max_completion_tokens ?? max_tokens ?? 1
  const limit = LIMITS[model!]?.max_output_tokens ?? Number.POSITIVE_INFINITY
  const message = `max_tokens is too large: ${asked}. This model supports at most ${limit} completion tokens`
  const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 }
  if (asked > limit) sends(400, { 'content-type': 'application/json' }, { error: { message } })(response)
  else sends(200, { 'content-type': 'application/json' }, { choices: [], usage })(response)
}

test('no OpenAI model rejects a call without an output limit, for any remaining budget', async () => {
  const cage = await openTestRuntime()
  cage.provider.does(checks)
  const models = (await BUILT_IN_LIST.models('openai', Date.now())).map(({ model }) => model)
  expect(models.length).toBeGreaterThan(80)
  const names = [...models, 'gpt-3.5-turbo-0125', 'gpt-4-turbo-2024-04-09', 'gpt-4-0125-preview', 'gpt-4o-2024-05-13']
  const refused: unknown[] = []
  for (const limit of ['0.2', '5', '1000']) {
    const agent = cage.addAgent({ limit })
    for (const model of names) {
      const reply = await agent.chat({ model, max_tokens: undefined })
      if (reply.status === 400) refused.push([limit, model, reply.text])
    }
  }
  expect(refused).toEqual([])
  const asked = cage.provider.requests.map(({ body }) => JSON.parse(body))
  const tooLarge = asked.filter(
    ({ model, max_tokens, max_completion_tokens }) =>
      (max_completion_tokens ?? max_tokens ?? 0) > (LIMITS[model]?.max_output_tokens ?? Number.POSITIVE_INFINITY),
  )
  expect(tooLarge).toEqual([])
}, 60_000)

test.each([
  ['anthropic', ''],
  ['deepseek', 'deepseek/'],
  ['mistral', 'mistral/'],
  ['groq', 'groq/'],
  ['x-ai', 'xai/'],
  ['google', 'gemini/'],
  ['perplexity', 'perplexity/'],
  ['cohere', ''],
])('no limit for a model of %s is above its longest answer', async (provider, prefix) => {
  const prices = new Prices({ prices: {}, providers: {} }, systemClock)
  const known = (await BUILT_IN_LIST.models(provider, Date.now())).flatMap(({ model }) => {
    const limit = LIMITS[prefix + model]?.max_output_tokens ?? LIMITS[model]?.max_output_tokens
    return limit === undefined ? [] : [{ model, limit }]
  })
  const size = { bytes: 2_000, maxOutputTokens: null, answers: 1, text: null, demands: TEXT_ONLY }
  const above: unknown[] = []
  for (const { model, limit } of known) {
    for (const available of ['0.01', '0.5', '10', '1000']) {
      const { clampTo } = await boundCall(
        await prices.get(provider, model),
        { ...size, model },
        dollars(available),
        true,
      )
      if (clampTo !== null && clampTo > limit) above.push([model, limit, available, clampTo])
    }
  }
  expect(above).toEqual([])
})

describe("a provider's refusal", () => {
  test.each<[text: string, tokens: number | undefined]>([
    [
      'max_tokens is too large: 16384. This model supports at most 4096 completion tokens, whereas you provided 16384.',
      4_096,
    ],
    [
      'max_tokens: 16384 > 4096, which is the maximum allowed number of output tokens for claude-3-opus-20240229',
      4_096,
    ],
    [
      '`max_tokens` must be less than or equal to `8192`, the maximum value for `max_tokens` is less than the `context_window`',
      8_192,
    ],
    ['Invalid max_tokens value, the valid range of max_tokens is [1, 8192]', 8_192],
    [
      "This model's maximum context length is 8192 tokens. However, you requested 20000 tokens (3616 in the messages, 16384 in the completion).",
      4_576,
    ],
    [
      "This model's maximum context length is 8192 tokens and your request has 3616 input tokens (16384 > 8192 - 3616).",
      4_576,
    ],
    ['supports at most 99999 completion tokens', undefined],
    ['supports at most 0 completion tokens', undefined],
    ['you are out of money', undefined],
  ])('a provider\'s refusal "%s" names %s', (text, tokens) => expect(namedLimit(text, 16_384)?.tokens).toBe(tokens))
})
