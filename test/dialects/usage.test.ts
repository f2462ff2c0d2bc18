/** Usage in the replies of vendors and of the gateways in front of them, each after its own documentation. */
import { describe, expect, test } from 'vitest'
import type { Price } from '../../src/budget/price.ts'
import { costOf } from '../../src/budget/prices.ts'
import type { Format, Usage } from '../../src/dialects/dialect.ts'
import { DIALECTS, type DialectName } from '../../src/dialects/dialects.ts'
import type { JsonObject } from '../../src/dialects/json.ts'
import { findRoute } from '../../src/dialects/routes.ts'
import fc from '../support/fast-check.ts'

const CHAT = ['openai', '/chat/completions'] as const
const RESPONSES = ['openai', '/responses'] as const
const MESSAGES = ['anthropic', '/messages'] as const
const CONVERSE = ['bedrock', '/model/some-model/converse'] as const
const GENERATE = ['google', '/models/some-model:generateContent'] as const
type Shape = readonly [dialect: DialectName, path: string]

function reported([dialect, path]: Shape, reply: JsonObject) {
  const format = findRoute(DIALECTS[dialect].routes, 'POST', path, true).route as Format
  return format.usageOf(reply)
}

const plain = { cachedInput: 0, cacheWrite: 0, cacheWriteHour: 0 }

interface Row {
  /** Where the shape is documented, or the server that sends it. */
  source: string
  shape: Shape
  reply: JsonObject
  usage: Usage
}

const chat = (source: string, usage: JsonObject, expected: Usage): Row => ({
  source,
  shape: CHAT,
  reply: { usage },
  usage: expected,
})

const ROWS: readonly Row[] = [
  chat(
    'OpenAI, API reference (chat completions)',
    {
      prompt_tokens: 2_006,
      completion_tokens: 300,
      total_tokens: 2_306,
      prompt_tokens_details: { cached_tokens: 1_920, audio_tokens: 0 },
      completion_tokens_details: {
        reasoning_tokens: 128,
        audio_tokens: 0,
        accepted_prediction_tokens: 20,
        rejected_prediction_tokens: 12,
      },
    },
    { ...plain, input: 2_006, cachedInput: 1_920, output: 300 },
  ),
  chat(
    'Azure OpenAI, with details that are null',
    {
      prompt_tokens: 20,
      completion_tokens: 3,
      total_tokens: 23,
      prompt_tokens_details: null,
      completion_tokens_details: null,
    },
    { ...plain, input: 20, output: 3 },
  ),
  chat(
    'LiteLLM in front of Anthropic (litellm/types/utils.py, Usage)',
    {
      prompt_tokens: 98_805,
      completion_tokens: 5_120,
      total_tokens: 103_925,
      prompt_tokens_details: {
        cached_tokens: 66_360,
        cache_creation_tokens: 32_435,
        cache_creation_token_details: { ephemeral_5m_input_tokens: 32_035, ephemeral_1h_input_tokens: 400 },
        text_tokens: null,
      },
      cache_read_input_tokens: 66_360,
      cache_creation_input_tokens: 32_435,
      completion_tokens_details: { reasoning_tokens: 1_710, text_tokens: 3_410 },
    },
    { input: 98_805, cachedInput: 66_360, cacheWrite: 32_035, cacheWriteHour: 400, output: 5_120 },
  ),
  chat(
    'LiteLLM before it added the cache to the prompt (BerriAI/litellm#15056)',
    {
      prompt_tokens: 31,
      completion_tokens: 467,
      total_tokens: 498,
      prompt_tokens_details: { cached_tokens: 0 },
      cache_creation_input_tokens: 1_253,
      cache_read_input_tokens: 0,
    },
    { ...plain, input: 1_284, cacheWrite: 1_253, output: 467 },
  ),
  chat(
    'Databricks, foundation model APIs',
    {
      prompt_tokens: 50_000,
      completion_tokens: 100,
      total_tokens: 50_100,
      cache_read_input_tokens: 48_000,
      cache_creation_input_tokens: 0,
    },
    { ...plain, input: 50_000, cachedInput: 48_000, output: 100 },
  ),
  chat(
    'SGLang (openai/protocol.py, UsageInfo)',
    {
      prompt_tokens: 100,
      completion_tokens: 1_000,
      total_tokens: 1_100,
      reasoning_tokens: 900,
      prompt_tokens_details: null,
    },
    { ...plain, input: 100, output: 1_000, reasoning: 900 },
  ),
  chat(
    'OpenRouter, usage accounting',
    {
      prompt_tokens: 20_000,
      completion_tokens: 100,
      total_tokens: 20_100,
      cost: 0.0123,
      is_byok: false,
      prompt_tokens_details: { cached_tokens: 10, cache_write_tokens: 5, audio_tokens: 0, video_tokens: 18_000 },
      cost_details: { upstream_inference_cost: null },
      completion_tokens_details: { reasoning_tokens: 7, image_tokens: 0, audio_tokens: 0 },
    },
    { ...plain, input: 20_000, cachedInput: 10, cacheWrite: 5, output: 100, imageOutput: 0 },
  ),
  chat(
    'DeepSeek, context caching',
    {
      prompt_tokens: 1_000,
      completion_tokens: 50,
      total_tokens: 1_050,
      prompt_cache_hit_tokens: 896,
      prompt_cache_miss_tokens: 104,
      completion_tokens_details: { reasoning_tokens: 32 },
    },
    { ...plain, input: 1_000, cachedInput: 896, output: 50 },
  ),
  chat(
    'x.ai: reasoning is in the total alone',
    {
      prompt_tokens: 32,
      completion_tokens: 9,
      total_tokens: 135,
      prompt_tokens_details: { text_tokens: 32, audio_tokens: 0, image_tokens: 0, cached_tokens: 6 },
      completion_tokens_details: { reasoning_tokens: 94, audio_tokens: 0, accepted_prediction_tokens: 0 },
      num_sources_used: 0,
    },
    { ...plain, input: 32, cachedInput: 6, output: 103 },
  ),
  chat(
    'Mistral, API reference (UsageInfo)',
    {
      prompt_tokens: 800,
      completion_tokens: 40,
      total_tokens: 840,
      prompt_audio_seconds: null,
      num_cached_tokens: 640,
      prompt_token_details: { cached_tokens: 640 },
    },
    { ...plain, input: 800, cachedInput: 640, output: 40 },
  ),
  chat(
    'Groq, with times',
    {
      queue_time: 0.02,
      prompt_tokens: 4_641,
      prompt_time: 0.009,
      completion_tokens: 1_817,
      completion_time: 5.5,
      total_tokens: 6_458,
      total_time: 5.6,
      prompt_tokens_details: { cached_tokens: 4_608 },
    },
    { ...plain, input: 4_641, cachedInput: 4_608, output: 1_817 },
  ),
  chat(
    'Together and Moonshot: cached tokens without details',
    { prompt_tokens: 500, completion_tokens: 5, total_tokens: 505, cached_tokens: 400 },
    { ...plain, input: 500, cachedInput: 400, output: 5 },
  ),
  chat(
    'DashScope, with parts of parts',
    {
      prompt_tokens: 3_019,
      completion_tokens: 104,
      total_tokens: 3_123,
      prompt_tokens_details: {
        cached_tokens: 2_048,
        cache_creation_input_tokens: 512,
        cache_creation: { ephemeral_5m_input_tokens: 512 },
        cache_type: 'ephemeral',
        text_tokens: 19,
        image_tokens: 1_000,
        video_tokens: 2_000,
      },
    },
    { ...plain, input: 3_019, cachedInput: 2_048, cacheWrite: 512, output: 104 },
  ),
  chat(
    'a gateway with the names of both of OpenAI’s APIs (new-api)',
    {
      prompt_tokens: 20_000,
      completion_tokens: 100,
      total_tokens: 20_100,
      input_tokens: 20_000,
      output_tokens: 100,
      input_tokens_details: { cached_tokens: 12_000 },
      prompt_tokens_details: { cached_tokens: 12_000 },
      claude_cache_creation_5_m_tokens: 0,
    },
    { ...plain, input: 20_000, cachedInput: 12_000, output: 100 },
  ),
  chat(
    'the same gateway, which leaves the other names at zero',
    {
      prompt_tokens: 70,
      completion_tokens: 7,
      total_tokens: 77,
      input_tokens: 0,
      output_tokens: 0,
      input_tokens_details: null,
    },
    { ...plain, input: 70, output: 7 },
  ),
  chat(
    'Perplexity, deep research: reasoning and citations are in no total',
    {
      prompt_tokens: 22,
      completion_tokens: 7_163,
      total_tokens: 7_185,
      citation_tokens: 20_016,
      num_search_queries: 18,
      reasoning_tokens: 73_997,
    },
    { ...plain, input: 22, output: 7_163, reasoning: 73_997, citation: 20_016, webSearches: 18 },
  ),
  chat(
    'Snowflake, Cortex Guard: tokens in no other count',
    { prompt_tokens: 100, completion_tokens: 10, guard_tokens: 126, total_tokens: 236 },
    { ...plain, input: 100, output: 10, unknownTokens: 126 },
  ),
  chat(
    'an unknown count, without a total',
    { prompt_tokens: 100, completion_tokens: 10, dream_tokens: 7 },
    { ...plain, input: 100, output: 10, unconfirmedTokens: 7 },
  ),
  chat(
    'a total that is none',
    { prompt_tokens: 100, completion_tokens: 10, total_tokens: 0, dream_tokens: 7 },
    { ...plain, input: 100, output: 10, unconfirmedTokens: 7 },
  ),
  {
    source: 'OpenAI, API reference (responses)',
    shape: RESPONSES,
    reply: {
      usage: {
        input_tokens: 328,
        input_tokens_details: { cached_tokens: 256, cache_write_tokens: 64 },
        output_tokens: 52,
        output_tokens_details: { reasoning_tokens: 40 },
        total_tokens: 380,
      },
    },
    usage: { ...plain, input: 328, cachedInput: 256, cacheWrite: 64, output: 52 },
  },
  {
    source: 'Anthropic, prompt caching: input_tokens excludes the cache',
    shape: MESSAGES,
    reply: {
      usage: {
        input_tokens: 50,
        cache_read_input_tokens: 100_000,
        cache_creation_input_tokens: 248,
        cache_creation: { ephemeral_5m_input_tokens: 148, ephemeral_1h_input_tokens: 100 },
        output_tokens: 503,
        output_tokens_details: { thinking_tokens: 300 },
        service_tier: 'standard',
        server_tool_use: null,
      },
    },
    usage: { input: 100_298, cachedInput: 100_000, cacheWrite: 148, cacheWriteHour: 100, output: 503 },
  },
  {
    source: 'a gateway that adds OpenAI’s names and a total to Anthropic’s shape',
    shape: MESSAGES,
    reply: {
      usage: {
        input_tokens: 4_000,
        cache_read_input_tokens: 6_000,
        cache_creation_input_tokens: null,
        output_tokens: 50,
        prompt_tokens: 10_000,
        completion_tokens: 50,
        total_tokens: 10_050,
      },
    },
    usage: { ...plain, input: 10_000, cachedInput: 6_000, output: 50 },
  },
  {
    source: 'Amazon Bedrock, TokenUsage',
    shape: CONVERSE,
    reply: {
      usage: {
        inputTokens: 10,
        outputTokens: 20,
        totalTokens: 5_030,
        cacheReadInputTokens: 4_000,
        cacheWriteInputTokens: 1_000,
      },
    },
    usage: { ...plain, input: 5_010, cachedInput: 4_000, cacheWrite: 1_000, output: 20 },
  },
  {
    source: 'Google, GenerateContentResponse.UsageMetadata: the total is the sum of four counts',
    shape: GENERATE,
    reply: {
      usageMetadata: {
        promptTokenCount: 500,
        cachedContentTokenCount: 400,
        candidatesTokenCount: 120,
        toolUsePromptTokenCount: 300,
        thoughtsTokenCount: 10,
        totalTokenCount: 930,
        promptTokensDetails: [
          { modality: 'TEXT', tokenCount: 420 },
          { modality: 'AUDIO', tokenCount: 80 },
        ],
        cacheTokensDetails: [{ modality: 'TEXT', tokenCount: 400 }],
        trafficType: 'ON_DEMAND',
      },
    },
    usage: { ...plain, input: 800, cachedInput: 400, output: 130, audioInput: 80, imageOutput: 0 },
  },
  {
    source: 'early Gemini 2.5: thoughts are a part of the candidates, as the total says',
    shape: GENERATE,
    reply: {
      usageMetadata: {
        promptTokenCount: 50,
        candidatesTokenCount: 120,
        thoughtsTokenCount: 100,
        totalTokenCount: 170,
      },
    },
    usage: { ...plain, input: 50, output: 120, imageOutput: 0 },
  },
]

test.each(ROWS)('$source', ({ shape, reply, usage }) => {
  const read = reported(shape, reply)!
  expect(read).toMatchObject({ isFinal: true, isRepaired: false })
  expect(read.usage).toEqual(usage)
})

/** The actual usage of a call. */
interface Took {
  uncached: number
  cacheRead: number
  cacheWrite: number
  cacheWriteHour: number
  /** Of which so many are hidden. */
  answer: number
  reasoning: number
}

const tokens = fc.nat({ max: 300_000 })
const took: fc.Arbitrary<Took> = fc.record({
  uncached: tokens,
  cacheRead: tokens,
  cacheWrite: tokens,
  cacheWriteHour: tokens,
  answer: tokens,
  reasoning: tokens,
})

const inputOf = ({ uncached, cacheRead, cacheWrite, cacheWriteHour }: Took) =>
  uncached + cacheRead + cacheWrite + cacheWriteHour
const writtenOf = ({ cacheWrite, cacheWriteHour }: Took) => cacheWrite + cacheWriteHour
const outputOf = ({ answer, reasoning }: Took) => answer + reasoning
const sums = (call: Took) => ({
  prompt_tokens: inputOf(call),
  completion_tokens: outputOf(call),
  total_tokens: inputOf(call) + outputOf(call),
})
const namesOfAnthropic = (call: Took) => ({
  cache_read_input_tokens: call.cacheRead,
  cache_creation_input_tokens: writtenOf(call),
})
const hours = (call: Took) => ({
  ephemeral_5m_input_tokens: call.cacheWrite,
  ephemeral_1h_input_tokens: call.cacheWriteHour,
})
/** Servers of these shapes write nothing into a cache, or nothing for an hour. */
const unwritten = (call: Took): Took => ({ ...call, cacheWrite: 0, cacheWriteHour: 0 })
const withoutHour = (call: Took): Took => ({ ...call, cacheWriteHour: 0 })

/**
 * The vendors' shapes, written from their documentation. `can`: limits a call to the usage that such a server can
 * report.
 */
const VENDORS: Readonly<
  Record<string, { shape: Shape; can?: (call: Took) => Took; reply: (call: Took) => JsonObject }>
> = {
  openai: {
    shape: CHAT,
    can: withoutHour,
    reply: (call) => ({
      usage: {
        ...sums(call),
        prompt_tokens_details: { cached_tokens: call.cacheRead, cache_write_tokens: call.cacheWrite },
        completion_tokens_details: { reasoning_tokens: call.reasoning },
      },
    }),
  },
  responses: {
    shape: RESPONSES,
    can: withoutHour,
    reply: (call) => ({
      usage: {
        input_tokens: inputOf(call),
        output_tokens: outputOf(call),
        total_tokens: inputOf(call) + outputOf(call),
        input_tokens_details: { cached_tokens: call.cacheRead, cache_write_tokens: call.cacheWrite },
        output_tokens_details: { reasoning_tokens: call.reasoning },
      },
    }),
  },
  litellm: {
    shape: CHAT,
    reply: (call) => ({
      usage: {
        ...sums(call),
        ...namesOfAnthropic(call),
        prompt_tokens_details: {
          cached_tokens: call.cacheRead,
          cache_creation_tokens: writtenOf(call),
          cache_creation_token_details: hours(call),
        },
        completion_tokens_details: { reasoning_tokens: call.reasoning, text_tokens: call.answer },
      },
    }),
  },
  databricks: {
    shape: CHAT,
    can: withoutHour,
    reply: (call) => ({ usage: { ...sums(call), ...namesOfAnthropic(call) } }),
  },
  sglang: {
    shape: CHAT,
    can: unwritten,
    reply: (call) => ({
      usage: {
        ...sums(call),
        reasoning_tokens: call.reasoning,
        prompt_tokens_details: { cached_tokens: call.cacheRead },
      },
    }),
  },
  deepseek: {
    shape: CHAT,
    can: unwritten,
    reply: (call) => ({
      usage: {
        ...sums(call),
        prompt_cache_hit_tokens: call.cacheRead,
        prompt_cache_miss_tokens: call.uncached,
        completion_tokens_details: { reasoning_tokens: call.reasoning },
      },
    }),
  },
  xai: {
    shape: CHAT,
    can: unwritten,
    reply: (call) => ({
      usage: {
        ...sums(call),
        completion_tokens: call.answer,
        prompt_tokens_details: { text_tokens: inputOf(call), cached_tokens: call.cacheRead },
        completion_tokens_details: { reasoning_tokens: call.reasoning },
      },
    }),
  },
  anthropic: {
    shape: MESSAGES,
    reply: (call) => ({
      usage: {
        input_tokens: call.uncached,
        ...namesOfAnthropic(call),
        cache_creation: hours(call),
        output_tokens: outputOf(call),
      },
    }),
  },
  bedrock: {
    shape: CONVERSE,
    can: withoutHour,
    reply: (call) => ({
      usage: {
        inputTokens: call.uncached,
        outputTokens: outputOf(call),
        totalTokens: inputOf(call) + outputOf(call),
        cacheReadInputTokens: call.cacheRead,
        cacheWriteInputTokens: call.cacheWrite,
      },
    }),
  },
  google: {
    shape: GENERATE,
    can: unwritten,
    reply: (call) => ({
      usageMetadata: {
        promptTokenCount: inputOf(call),
        cachedContentTokenCount: call.cacheRead,
        candidatesTokenCount: call.answer,
        thoughtsTokenCount: call.reasoning,
        totalTokenCount: inputOf(call) + outputOf(call),
      },
    }),
  },
}

const rate = (usd: number) => ({ base: usd * 1_000_000, tiers: [] })
const PRICE: Price = {
  input: rate(3),
  cachedInput: rate(0.3),
  cacheWrite: rate(3.75),
  cacheWriteHour: rate(6),
  output: rate(15),
  contextWindow: null,
  source: 'test',
}

/** A dollar a million is a thousand nanodollars a token. */
const trueCost = (call: Took): number =>
  Math.ceil(
    call.uncached * 3_000 +
      call.cacheRead * 300 +
      call.cacheWrite * 3_750 +
      call.cacheWriteHour * 6_000 +
      outputOf(call) * 15_000,
  )

/** Additions of servers: later names, parts that others do not have, nulls. */
const noise = fc.record({
  part: fc.stringMatching(/^[a-z]{3,8}_tokens$/).filter((name) => !/cache|audio|image|reason/.test(name)),
  count: fc.nat({ max: 400_000 }),
})

describe('the same call costs the same when it is reported in the shape of', () => {
  test.each(Object.entries(VENDORS))('%s', (_name, { shape, can = (call) => call, reply }) => {
    fc.assert(
      fc.property(took, noise, (drawn, { part, count }) => {
        const call = can(drawn)
        const said = reply(call)
        const known = said.usage as JsonObject | undefined
        const hasTotal = known?.total_tokens !== undefined
        // A total settles whether an unknown count is part of another; details are parts by themselves.
        if (hasTotal) Object.assign(known!, { [part]: count })
        if (known?.prompt_tokens_details) Object.assign(known.prompt_tokens_details, { [`x_${part}`]: count })
        const read = reported(shape, said)!
        expect(read.usage.input).toBe(inputOf(call))
        expect(costOf(PRICE, read.usage)).toBe(trueCost(call))
      }),
    )
  })
})
