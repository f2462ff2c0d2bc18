import { describe, expect, test } from 'vitest'
import { boundCall } from '../../src/budget/estimate.ts'
import type { Price } from '../../src/budget/price.ts'
import { costOf, Prices } from '../../src/budget/prices.ts'
import { countTokens } from '../../src/budget/tokenizer.ts'
import { systemClock } from '../../src/core/clock.ts'
import { nanodollars } from '../../src/core/money.ts'
import { anthropic } from '../../src/dialects/anthropic/dialect.ts'
import { type Format, TEXT_ONLY, type Usage } from '../../src/dialects/dialect.ts'
import type { JsonObject } from '../../src/dialects/json.ts'
import { openai } from '../../src/dialects/openai/dialect.ts'
import { findRoute } from '../../src/dialects/routes.ts'
import fc from '../support/fast-check.ts'
import { dollars } from '../support/money.ts'

const rate = (usdPerMtok: number) => ({ base: usdPerMtok * 1_000_000, tiers: [] })
const priceOf = (input: number, output: number, contextWindow: number | null = null): Price => ({
  input: rate(input),
  cachedInput: rate(input),
  cacheWrite: rate(input),
  cacheWriteHour: rate(input),
  output: rate(output),
  contextWindow,
  source: 'test',
})

const size = { bytes: 1_000, maxOutputTokens: 100, answers: 1, text: null, model: 'gpt-4o', demands: TEXT_ONLY }

const openaiFormat = (path: string) => findRoute(openai.routes, 'POST', path, true).route as Format
const anthropicFormat = (path: string) => findRoute(anthropic.routes, 'POST', path, true).route as Format

const UNLIMITED = {
  stream: false,
  clampTo: null,
  toolUses: null,
  isVendors: true,
  onlyLimit: undefined,
  model: 'gpt-4o',
  asksUsage: true,
}

/** A body as the gateway sees it. */
function sizeOf(format: Format, body: object) {
  const { model, maxOutputTokens, answers, demands } = format.readCall(body as JsonObject)
  const sent = JSON.stringify(format.prepare(body as JsonObject, UNLIMITED))
  const text = format.textOf ? () => format.textOf!(body as JsonObject) : null
  return { format, size: { bytes: Buffer.byteLength(sent), maxOutputTokens, answers, text, demands, model } }
}

describe('the most a call can cost', () => {
  test('the most a call can cost is a token for each byte of the request, and the longest answer, for each answer', async () => {
    const bound = await boundCall(priceOf(2, 8), { ...size, answers: 3 }, dollars('50'), true)
    // 1,000 × $2 + 3 × 100 × $8 a million
    expect(bound).toMatchObject({ maxCost: dollars('0.0044'), inputTokens: 1_000, clampTo: null, toolUses: null })
  })

  test('the bound of a call is counted with the tokenizer only when the bytes do not fit', async () => {
    let asked = 0
    const text = () => {
      asked += 1
      return 'word '.repeat(200)
    }
    const price = priceOf(1_000, 0)
    expect((await boundCall(price, { ...size, text }, dollars('1'), true)).maxCost).toBe(dollars('1'))
    expect(asked).toBe(0)
    // About 200 tokens and the framing.
    const { maxCost } = await boundCall(price, { ...size, text }, dollars('0.999'), true)
    expect(asked).toBe(1)
    expect(maxCost).toBeGreaterThanOrEqual(dollars('0.2'))
    expect(maxCost).toBeLessThan(dollars('0.3'))
  })

  const unsaid = { ...size, bytes: 0, maxOutputTokens: null }

  test.each([
    { name: 'a tenth of the remaining money', available: '30', known: { contextWindow: 128_000 }, clampTo: 3_000 },
    {
      name: 'the answer that half of the remaining money pays for, where that is little',
      available: '1',
      known: {},
      clampTo: 500,
    },
    { name: 'enough for most answers, where a tenth is not', available: '10', known: {}, clampTo: 2_048 },
    { name: 'never more than the model answers with', available: '80', known: { outputLimit: 4_000 }, clampTo: 4_000 },
    { name: 'what most models give, where nothing is known', available: '100', known: {}, clampTo: 4_096 },
    { name: 'the rest of the window', available: '50', known: { contextWindow: 5_500 }, bytes: 4_000, clampTo: 3_500 },
    { name: 'all that the window holds', available: '100', known: { contextWindow: 8_192 }, held: 8_192 },
    {
      name: 'the longest answer of the model',
      available: '50',
      known: { outputLimit: 4_096, maxAnswerTokens: 4_096 },
      held: 4_096,
    },
    {
      name: 'a useful answer, where half of the remaining money pays for less',
      available: '0.3',
      known: {},
      clampTo: 256,
    },
    { name: 'a useful answer, which nothing pays for when nothing is left', available: '0', known: {}, clampTo: 256 },
    {
      name: 'at most the longest answer of the model, useful or not',
      available: '0',
      known: { outputLimit: 99 },
      clampTo: 99,
    },
  ])('the bound of a call without an output limit is $name', async (row) => {
    const { available, known, bytes = 0, clampTo = null, held = clampTo! } = row
    const price = { ...priceOf(0, 1_000), ...known }
    const bound = await boundCall(price, { ...unsaid, bytes }, dollars(available), true)
    expect(bound).toMatchObject({ clampTo, maxCost: dollars('0.001') * held })
  })

  test('a call without an output limit is clamped to the tokens that its prompt leaves, not to its bytes', async () => {
    const text = () => 'word '.repeat(400)
    const prompt = { ...unsaid, bytes: 2_000, text }
    const price = { ...priceOf(1_000, 1_000), outputLimit: 16_384 }
    // Its bytes cost $2 and leave 1,000 tokens in half of the money; its 400 tokens and the framing leave more than 2,048.
    expect((await boundCall(price, { ...prompt, text: null }, dollars('6'), true)).clampTo).toBe(1_000)
    expect((await boundCall(price, prompt, dollars('6'), true)).clampTo).toBe(2_048)
  })

  test.each([{ contextWindow: 8_192 }, { maxAnswerTokens: 4_096 }, {}])(
    'a call without an output limit is held at the longest answer when no limit may be written (%j)',
    async (known: Partial<Price>) => {
      const bound = await boundCall({ ...priceOf(0, 1_000), ...known }, unsaid, dollars('1'), false)
      const longest = known.maxAnswerTokens ?? known.contextWindow ?? 131_072
      expect(bound).toMatchObject({ clampTo: null, maxCost: dollars('0.001') * longest })
    },
  )

  test('a call to a free model is bounded by nothing, and no limit is written', async () => {
    const bound = await boundCall(priceOf(0, 0), { ...unsaid, answers: 3 }, dollars('1'), true)
    expect(bound).toMatchObject({ clampTo: null, maxCost: 0 })
  })
})

describe('counting tokens', () => {
  test.each([
    ['Hello, world!', 4],
    ['', 0],
    ['<|endoftext|>', 7],
  ])('the tokens of %s are counted', async (text, tokens) => {
    expect(await countTokens(text, 'gpt-4o')).toBe(tokens)
  })

  test.each([
    ['one letter', 'a'],
    ['spaces', ' '],
    ['exclamation marks', '!'],
    ['words without spaces', 'abcdefghij'],
    ['Chinese', '漢字仮名'],
    ['digits', '7'],
    ['line ends', '\n'],
    ['special words', '<|endoftext|>'],
    ['emoji', '🎉'],
  ])('counting the tokens of a quarter of a megabyte of %s delays no other work', async (_name, piece) => {
    await countTokens('warm', 'gpt-4o')
    const text = piece.repeat(262_144 / piece.length)
    const tokens = await countTokens(text, 'gpt-4o')
    // The square of the length would take a minute, and this test run out of time.
    expect(tokens).toBeGreaterThan(1_000)
    expect(tokens).toBeLessThanOrEqual(Buffer.byteLength(text))
  })

  test('the token count of a longer text is a quarter of its bytes', async () => {
    expect(await countTokens('a'.repeat(400_000), 'gpt-4o')).toBe(100_000)
  })
})

test('a tokenizer is not asked about a model whose own is not known', async () => {
  const text = () => 'word '.repeat(200)
  const foreign = { ...size, model: 'llama-3.3-70b', text, maxOutputTokens: 1 }
  expect((await boundCall(priceOf(1_000, 0), foreign, dollars('0.5'), true)).maxCost).toBe(dollars('1'))
})

describe('an image', () => {
  const PICTURE = `data:image/png;base64,${'iVBOR'.repeat(100_000)}`
  const formats = [
    {
      name: 'a chat completion',
      format: openaiFormat('/chat/completions'),
      body: (url: string) => ({
        model: 'gpt-4o',
        max_tokens: 10,
        messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }],
      }),
      maxTokens: 1_445,
    },
    {
      name: 'a response',
      format: openaiFormat('/responses'),
      body: (image_url: string) => ({
        model: 'gpt-4o',
        max_output_tokens: 10,
        input: [{ role: 'user', content: [{ type: 'input_image', image_url }] }],
      }),
      maxTokens: 1_445,
    },
    {
      name: 'a message',
      format: anthropicFormat('/messages'),
      body: (data: string) => ({
        model: 'claude-sonnet-5',
        max_tokens: 10,
        messages: [
          {
            role: 'user',
            content: [{ type: 'tool_result', content: [{ type: 'image', source: { type: 'base64', data } }] }],
          },
        ],
      }),
      maxTokens: 4_784,
    },
  ]

  test.each(formats)(
    "an image in $name costs at most the vendor's price, regardless of its bytes",
    async ({ format, body, maxTokens }) => {
      const { size } = sizeOf(format, body(PICTURE))
      expect(size.demands).toMatchObject({
        images: 1,
        imageBytes: PICTURE.length,
        imageTokens: maxTokens,
        isInputUnseen: false,
      })
      // $1 a token: it does not fit by its half a million bytes.
      const { maxCost: held } = await boundCall(priceOf(1_000_000, 0), size, dollars('10000'), true)
      expect(held).toBeGreaterThanOrEqual(dollars(String(maxTokens)))
      expect(held).toBeLessThan(dollars(String(maxTokens + 400)))
    },
  )

  test.each(formats)('an image of a few bytes in $name counts as a large one', async ({ format, body, maxTokens }) => {
    const { size } = sizeOf(format, body('data:,x'))
    const { maxCost: held } = await boundCall(priceOf(1_000_000, 0), size, dollars('1000000'), true)
    expect(held).toBeGreaterThanOrEqual(dollars(String(maxTokens)))
  })

  test.each([
    ['gpt-4o-mini-2024-07-18', 48_169],
    ['gpt-4o', 1_445],
    ['gpt-4.1-nano', 3_779],
    ['gpt-5-mini', 3_779],
    ['gpt-5.4', 24_600],
    ['something-new', 24_600],
  ])('an image of %s is at most %d tokens', (model, tokens) => {
    const body = { model, messages: [{ content: [{ type: 'image_url', image_url: { url: 'https://x.example/y' } }] }] }
    expect(openaiFormat('/chat/completions').readCall(body).demands).toMatchObject({ images: 1, imageTokens: tokens })
  })
})

describe('content that a request only references is bounded by the context window', () => {
  const chat = (part: object) => ({ model: 'gpt-4o', max_tokens: 1, messages: [{ role: 'user', content: [part] }] })
  const response = (more: object) => ({ model: 'gpt-4o', max_output_tokens: 1, input: 'Hi', ...more })
  const message = (block: object) => ({
    model: 'claude-sonnet-5',
    max_tokens: 1,
    messages: [{ role: 'user', content: [block] }],
  })

  test.each([
    ['a file id', '/chat/completions', chat({ type: 'file', file: { file_id: 'file-1' } })],
    [
      'a file in the request',
      '/chat/completions',
      chat({ type: 'file', file: { file_data: 'data:application/pdf;base64,JVBERi0' } }),
    ],
    [
      'a file at an address',
      '/responses',
      response({ input: [{ content: [{ type: 'input_file', file_url: 'https://x.example/a.pdf' }] }] }),
    ],
    ['a conversation', '/responses', response({ conversation: 'conv_1' })],
    ['a stored prompt', '/responses', response({ prompt: { id: 'pmpt_1' } })],
    ['a document', '/messages', message({ type: 'document', source: { type: 'base64', data: 'JVBERi0' } })],
    [
      'a document at an address',
      '/messages',
      message({ type: 'document', source: { type: 'url', url: 'https://x.example' } }),
    ],
    ['an upload', '/messages', message({ type: 'container_upload', file_id: 'file_1' })],
  ])('%s', async (_name, path, body) => {
    const { size } = sizeOf(path === '/messages' ? anthropicFormat(path) : openaiFormat(path), body)
    const bound = await boundCall(priceOf(1, 0, 100_000), size, dollars('50'), true)
    expect(bound.maxCost).toBe(dollars('0.1'))
  })

  test.each<[string, object, string[]]>([
    ['an item of before', { input: [{ type: 'item_reference', id: 'msg_1' }] }, ['msg_1']],
    ['an item of before without a type', { input: [{ id: 'msg_1' }, { type: null, id: 'msg_2' }] }, ['msg_1', 'msg_2']],
    ['a thought of before', { input: [{ type: 'reasoning', id: 'rs_1', summary: [] }] }, ['rs_1']],
    ['a search of before', { input: [{ type: 'web_search_call', id: 'ws_1', status: 'completed' }] }, ['ws_1']],
    [
      'a message without its content',
      { input: [{ type: 'message', role: 'user', id: 'msg_1', content: [] }] },
      ['msg_1'],
    ],
    ['the answer before', { previous_response_id: 'resp_1' }, ['resp_1']],
    [
      'an item that the client has whole',
      { input: [{ type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: 'gAAAA' }] },
      [],
    ],
  ])('%s is named, for the gateway may have delivered it', (_what, more, references) => {
    const { demands } = openaiFormat('/responses').readCall(response(more) as JsonObject)
    expect(demands).toMatchObject({ references, isInputUnseen: false })
  })

  test.each([
    [{ output_config: { effort: 'medium' } }, false],
    [{ phase: 'final_answer', note: 'See https://x.example for 12 more.' }, false],
    [{ weight: 7, isShown: true, ttl: '1h' }, false],
    [{ attachment: 'file-AbC123' }, true],
    [{ context: { more: [{ doc_id: 'x' }] } }, true],
    [{ media: 'gs://bucket/sound' }, true],
  ])('an unknown field is a reference if it may name something: %j', (more, isInputUnseen) => {
    const body = { model: 'm', max_tokens: 1, messages: [{ role: 'user', content: 'Hi', ...more }] }
    expect(anthropicFormat('/messages').readCall(body as JsonObject).demands).toMatchObject({ isInputUnseen })
  })

  test('a plain-text document is not bounded by the context window', () => {
    const text = message({ type: 'document', source: { type: 'text', data: 'Dear all' } })
    expect(anthropicFormat('/messages').readCall(text as JsonObject).demands.isInputUnseen).toBe(false)
  })
})

describe('input and output beyond the request itself', () => {
  const price = { ...priceOf(1, 10, 200_000), outputLimit: 32_000 }
  const response = { model: 'gpt-5', max_output_tokens: 100, input: 'Hi' }
  const message = { model: 'claude-sonnet-5', max_tokens: 100, messages: [{ role: 'user', content: 'Hi' }] }
  const costOf = async (path: string, body: object) => {
    const { size } = sizeOf(path === '/messages' ? anthropicFormat(path) : openaiFormat(path), body)
    return (await boundCall(price, { ...size, bytes: 60_000 }, dollars('50'), true)).maxCost
  }
  const plain = dollars('0.061')
  // The conversation once more, and the longest summary.
  const compacted = dollars('0.441')

  test.each<[string, string, object, number]>([
    ['never', '/responses', response, plain],
    [
      'from a size that it has',
      '/responses',
      { ...response, context_management: [{ type: 'compaction', compact_threshold: 50_000 }] },
      compacted,
    ],
    [
      'from a size that it has not',
      '/responses',
      { ...response, context_management: [{ type: 'compaction', compact_threshold: 90_000 }] },
      plain,
    ],
    [
      'when the vendor likes',
      '/messages',
      { ...message, context_management: { edits: [{ type: 'compact_20260112' }] } },
      compacted,
    ],
    [
      'from a size',
      '/messages',
      {
        ...message,
        context_management: { edits: [{ type: 'compact_20260112', trigger: { type: 'input_tokens', value: 90_000 } }] },
      },
      plain,
    ],
    [
      'never: it is only cleared',
      '/messages',
      { ...message, context_management: { edits: [{ type: 'clear_tool_uses_20250919' }] } },
      plain,
    ],
  ])('a conversation that is compacted %s is held for (%s)', async (_when, path, body, cost) => {
    expect(await costOf(path, body)).toBe(cost)
  })

  test('a predicted answer may be rejected, and is paid for then', async () => {
    const chat = {
      model: 'gpt-4o',
      max_tokens: 100,
      messages: [],
      prediction: { type: 'content', content: 'x'.repeat(900) },
    }
    const { predictedBytes } = openaiFormat('/chat/completions').readCall(chat).demands
    expect(predictedBytes).toBeGreaterThanOrEqual(900)
    expect(await costOf('/chat/completions', chat)).toBe(dollars('0.06') + (100 + predictedBytes) * 10_000)
  })

  test.each([true, 'true', 1, {}])('a response in the background (%j) is refused', (background) => {
    expect(() => openaiFormat('/responses').readCall({ ...response, background } as JsonObject)).toThrow(/background/)
    expect(openaiFormat('/responses').readCall({ ...response, background: false } as JsonObject).model).toBe('gpt-5')
  })
})

describe('tools that the provider runs by itself', () => {
  const search = { type: 'web_search' }
  const body = (more: object) => ({ model: 'gpt-5', max_output_tokens: 100, input: 'Hi', tools: [search], ...more })
  const price = { ...priceOf(1, 10, 100_000), webSearch: 10_000_000_000, previewSearch: 0, fileSearch: 0 }

  test('tools that the provider runs by itself let the model read everything again after each use, and each use costs', async () => {
    const { size } = sizeOf(openaiFormat('/responses'), body({ max_tool_calls: 3 }))
    const bound = await boundCall(price, size, dollars('50'), true)
    // Four windows of input, 100 tokens of output, three searches.
    expect(bound).toMatchObject({ maxCost: dollars('0.431'), inputTokens: 400_000, clampTo: null, toolUses: null })
  })

  test.each([
    { available: '50', uses: 10 },
    { available: '1.3', uses: 4 },
    { available: '0.01', uses: 1 },
  ])(
    "a provider's tools get $uses uses where the client named no number and $available is left",
    async ({ available, uses }) => {
      const { size, format } = sizeOf(openaiFormat('/responses'), body({}))
      const bound = await boundCall(price, size, dollars(available), true)
      expect(bound.toolUses).toBe(uses)
      expect(format.prepare(body({}), { ...UNLIMITED, toolUses: uses })).toMatchObject({ max_tool_calls: uses })
    },
  )

  test("each of Anthropic's server tools gets the limit, unless its own is lower", () => {
    const tools = [{ type: 'web_search_20250305', max_uses: 2 }, { type: 'web_fetch_20250910' }, { name: 'mine' }]
    const format = anthropicFormat('/messages')
    const call = { model: 'claude-sonnet-5', max_tokens: 1, messages: [], tools }
    expect(format.readCall(call).demands.serverTools).toEqual({ count: 2, uses: null })
    expect(format.prepare(call, { ...UNLIMITED, toolUses: 4 }).tools).toEqual([
      tools[0],
      { type: 'web_fetch_20250910', max_uses: 4 },
      tools[2],
    ])
  })

  test.each(['code_interpreter', 'image_generation', 'code_execution_20250825'])(
    "a provider's tool whose cost cannot be counted is refused: %s",
    (type) => {
      expect(() => openaiFormat('/responses').readCall(body({ tools: [{ type }] }))).toThrow(type)
      const message = { model: 'claude-sonnet-5', max_tokens: 1, messages: [], tools: [{ type, name: 'x' }] }
      expect(() => anthropicFormat('/messages').readCall(message)).toThrow(type)
    },
  )

  test.each(['function', 'custom', 'computer_20250124', 'bash_20250124', 'text_editor_20250728', 'local_shell'])(
    'tools that the client runs are no server tools: %s',
    (type) => {
      expect(openaiFormat('/responses').readCall(body({ tools: [{ type }] })).demands.serverTools).toBeNull()
    },
  )
})

describe('audio', () => {
  const spoken = { messages: [{ content: [{ type: 'input_audio', input_audio: { data: 'UklGRg', format: 'wav' } }] }] }

  test('audio without a price is refused', async () => {
    const { size } = sizeOf(openaiFormat('/chat/completions'), { model: 'gpt-4o-audio-preview', ...spoken })
    await expect(boundCall(priceOf(1, 1), size, dollars('50'), true)).rejects.toMatchObject({ code: 'price_unknown' })
    const answer = { model: 'gpt-4o-audio-preview', messages: [], modalities: ['text', 'audio'] }
    const asked = sizeOf(openaiFormat('/chat/completions'), answer)
    await expect(boundCall(priceOf(1, 1), asked.size, dollars('50'), true)).rejects.toMatchObject({
      code: 'price_unknown',
    })
  })

  test('audio with a price is held at it, only where it is asked for', async () => {
    const price = { ...priceOf(1, 1), audioInput: rate(100), audioOutput: rate(200) }
    const maxCost = async (body: object) => {
      const { size } = sizeOf(openaiFormat('/chat/completions'), { model: 'gpt-audio', max_tokens: 1_000, ...body })
      return (await boundCall(price, { ...size, bytes: 1_000 }, dollars('50'), true)).maxCost
    }
    expect(await maxCost({ messages: [] })).toBe(dollars('0.002'))
    // Its six bytes of sound, which have no more tokens.
    expect(await maxCost(spoken)).toBe(dollars('0.002594'))
    expect(await maxCost({ ...spoken, modalities: ['audio'] })).toBe(dollars('0.201594'))
    const address = { type: 'input_audio', input_audio: { data: 'https://x.example/a.wav' } }
    expect(await maxCost({ messages: [{ role: 'user', content: [address] }] })).toBe(dollars('200.001'))
  })
})

test('no charge within the limits of a request exceeds its hold', async () => {
  const tokens = (max: number) => fc.nat({ max })
  const rateOf = fc.record({
    base: tokens(200_000_000),
    tiers: fc.array(fc.record({ start: tokens(400_000), rate: tokens(300_000_000) }), { maxLength: 2 }),
  })
  const sorted = fc
    .tuple(rateOf, rateOf, rateOf, rateOf, rateOf, rateOf, rateOf)
    .map((rates) => rates.map(({ base, tiers }) => ({ base, tiers: tiers.toSorted((a, b) => a.start - b.start) })))
  const factor = fc.record({ times: fc.integer({ min: 1, max: 9 }), per: fc.integer({ min: 1, max: 9 }) })
  const request = fc.record({
    text: fc.string({ maxLength: 400, unit: 'grapheme', size: 'max' }),
    images: fc.array(fc.string({ maxLength: 60 }), { maxLength: 3 }),
    document: fc.boolean(),
    spoken: fc.boolean(),
    speaks: fc.boolean(),
    max: fc.option(fc.integer({ min: 1, max: 300_000 })),
    answers: fc.integer({ min: 1, max: 4 }),
    tier: fc.constantFrom(null, 'priority', 'flex', 'never-heard-of'),
    searches: fc.boolean(),
  })
  // All or nothing more often than chance: there the bound is tight.
  const share = fc.oneof(fc.constantFrom(0, 1), fc.double({ min: 0, max: 1, noNaN: true }))
  const vendor = fc.record({ shares: fc.array(share, { minLength: 9, maxLength: 9 }), isTierRefused: fc.boolean() })
  const window = fc.option(fc.integer({ min: 1_000, max: 400_000 }))
  const money = fc.nat({ max: 100_000_000_000 })

  await fc.assert(
    fc.asyncProperty(
      sorted,
      fc.tuple(factor, factor),
      window,
      money,
      request,
      vendor,
      async (rates, factors, contextWindow, available, asked, says) => {
        const [input, cachedInput, cacheWrite, cacheWriteHour, output, audioInput, audioOutput] = rates
        const price = {
          ...{ input, cachedInput, cacheWrite, cacheWriteHour, output, audioInput, audioOutput },
          ...{ contextWindow, webSearch: 10_000_000_000, previewSearch: 25_000_000_000, source: 'test' },
          terms: { priority: factors[0], flex: factors[1] },
        } as Price
        const body = {
          model: 'gpt-4o',
          n: asked.answers,
          ...(asked.max !== null && { max_completion_tokens: asked.max }),
          ...(asked.tier !== null && { service_tier: asked.tier }),
          ...(asked.speaks && { modalities: ['text', 'audio'] }),
          ...(asked.searches && { web_search_options: {} }),
          messages: [
            {
              role: 'user',
              content: [
                { type: 'text', text: asked.text },
                ...asked.images.map((data) => ({
                  type: 'image_url',
                  image_url: { url: `data:image/png;base64,${data}` },
                })),
                ...(asked.document ? [{ type: 'file', file: { file_id: 'file-1' } }] : []),
                ...(asked.spoken ? [{ type: 'input_audio', input_audio: { data: 'UklGRg', format: 'wav' } }] : []),
              ],
            },
          ],
        }
        const { size } = sizeOf(openaiFormat('/chat/completions'), body)
        const { maxCost, clampTo } = await boundCall(price, size, nanodollars(available), true)

        // The usage that the vendor may report for such a request: no token that is not in its text and images, no
        // answer above its limit.
        const [read, cached, written, hour, heard, wrote, spoke] = says.shares as number[]
        const readable = asked.document
          ? (contextWindow ?? 2_000_000)
          : (await countTokens(asked.text, 'gpt-4o')) + 8 + asked.images.length * 1_445 + (asked.spoken ? 6 : 0)
        const total = Math.floor(readable * read!)
        const fromCache = Math.floor(total * cached!)
        const toCache = Math.floor((total - fromCache) * written!)
        const forAnHour = Math.floor(toCache * hour!)
        const writable = clampTo ?? asked.max ?? contextWindow ?? 131_072
        const said = Math.floor(writable * asked.answers * wrote!)
        const usage: Usage = {
          input: total,
          cachedInput: fromCache,
          cacheWrite: toCache - forAnHour,
          cacheWriteHour: forAnHour,
          output: said,
          ...(asked.spoken && { audioInput: Math.min(6, Math.floor(total * heard!)) }),
          ...(asked.speaks && { audioOutput: Math.floor(said * spoke!) }),
          ...(asked.searches && { previewSearches: asked.answers }),
          ...(asked.tier && !says.isTierRefused && { terms: [asked.tier] }),
        }
        expect(costOf(price, usage)).toBeLessThanOrEqual(maxCost)
      },
    ),
    { numRuns: 1_000 },
  )
})

describe('a price', () => {
  test.each([
    ['openai', 'gpt-4', 30, 60],
    ['openai', 'gpt-3.5-turbo', 0.5, 1.5],
    ['openai', 'gpt-4o-2024-08-06', 2.5, 10],
    ['anthropic', 'claude-3-5-haiku-latest', 0.8, 4],
  ])('a price of %s %s is known', async (provider, model, input, output) => {
    const price = await new Prices({ prices: {}, providers: {} }, systemClock).get(provider, model)
    expect([price.input.base, price.output.base]).toEqual([input * 1_000_000, output * 1_000_000])
    expect(price.source).toMatch(/^genai-prices \d/)
  })

  test('a price of the configuration goes above the list, and is read once', async () => {
    const prices = new Prices(
      { prices: { 'gpt-4': { input_per_mtok: 1, output_per_mtok: 2 } }, providers: {} },
      systemClock,
    )
    const price = await prices.get('openai', 'gpt-4')
    expect(price).toMatchObject({ source: 'config', input: { base: 1_000_000 }, cachedInput: { base: 1_000_000 } })
    expect(await prices.get('openai', 'gpt-4')).toBe(price)
  })

  test('a model that runs on this machine is free, and one elsewhere under its name has no price', async () => {
    const prices = new Prices({ prices: {}, providers: {} }, systemClock)
    expect(await prices.get('ollama', 'gpt-oss:120b')).toMatchObject({ source: 'local' })
    for (const model of ['gpt-oss:120b-cloud', 'gpt-oss:120b-CLOUD', 'gpt-oss:Cloud'])
      await expect(prices.get('ollama', model), model).rejects.toMatchObject({ code: 'price_unknown' })
  })

  test.each(['never-heard-of', '', 'constructor', '__proto__', 'hasOwnProperty', 'gpt-4; DROP TABLE calls'])(
    'a price of "%s" is not known, and nothing is made up',
    async (model) => {
      await expect(new Prices({ prices: {}, providers: {} }, systemClock).get('openai', model)).rejects.toMatchObject({
        code: 'price_unknown',
      })
    },
  )
})
