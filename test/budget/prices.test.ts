import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { Price } from '../../src/budget/price.ts'
import { requirePlausiblePrices } from '../../src/budget/price-jumps.ts'
import { BUILT_IN_LIST } from '../../src/budget/price-list.ts'
import {
  appliedRates,
  costOf,
  fromConfig,
  isExact,
  maxCostOf,
  outputTokensFor,
  PLAIN,
  Prices,
} from '../../src/budget/prices.ts'
import type { Rate } from '../../src/budget/rate.ts'
import { configSchema } from '../../src/config/schema.ts'
import { nanodollars, toUsd } from '../../src/core/money.ts'
import type { Usage } from '../../src/dialects/dialect.ts'
import fc from '../support/fast-check.ts'

/** Picodollars a token. */
const flat = (base: number): Rate => ({ base, tiers: [] })
const price = (rates: Partial<Price> = {}): Price => ({
  input: flat(30_000_000),
  cachedInput: flat(3_000_000),
  cacheWrite: flat(37_500_000),
  cacheWriteHour: flat(60_000_000),
  output: flat(60_000_000),
  contextWindow: null,
  source: 'test',
  ...rates,
})
const used = (usage: Partial<Usage>): Usage => ({
  input: 0,
  cachedInput: 0,
  cacheWrite: 0,
  cacheWriteHour: 0,
  output: 0,
  ...usage,
})

describe('the cost of a usage', () => {
  test.each([
    { usage: { input: 3_000, output: 500 }, nanos: 120_000_000 },
    { usage: { input: 6_000, output: 1_000 }, nanos: 240_000_000 },
    { usage: { input: 1_000, cachedInput: 1_000 }, nanos: 3_000_000 },
    { usage: { input: 1_000, cachedInput: 900 }, nanos: 5_700_000 },
    { usage: { input: 1_000, cacheWrite: 400, cacheWriteHour: 100 }, nanos: 15_000_000 + 15_000_000 + 6_000_000 },
    { usage: {}, nanos: 0 },
  ])('the cost of $usage is $nanos nanodollars', ({ usage, nanos }) => {
    expect(costOf(price(), used(usage))).toBe(nanos)
  })

  test('the cost of a usage is rounded up to a nanodollar, never down to nothing', () => {
    const cheap = price({ input: flat(137_500), output: flat(0) })
    expect(costOf(cheap, used({ input: 1 }))).toBe(138)
    expect(costOf(cheap, used({ input: 2 }))).toBe(275)
    expect(costOf(price({ input: flat(1) }), used({ input: 1 }))).toBe(1)
  })

  test('the cost of a usage steps with the length of the input, for the whole call', () => {
    const stepped = price({ input: { base: 1_000_000, tiers: [{ start: 200_000, rate: 2_000_000 }] } })
    expect(costOf(stepped, used({ input: 200_000 }))).toBe(200_000_000)
    expect(costOf(stepped, used({ input: 200_001 }))).toBe(400_002_000)
  })

  test('the cost of a usage is exact where doubles are not', () => {
    const dear = price({ input: flat(100_000_000_001) })
    expect(costOf(dear, used({ input: 90_000_001 }))).toBe(Number((90_000_001n * 100_000_000_001n + 999n) / 1000n))
  })

  test('the cost of a usage is never more than the bound that was held for it', () => {
    const tokens = fc.nat({ max: 2_000_000 })
    const picos = fc.nat({ max: 100_000_000_000 })
    const parts = fc.array(tokens, { minLength: 4, maxLength: 4 })
    const rates = fc.array(picos, { minLength: 5, maxLength: 5 })
    fc.assert(
      fc.property(parts, tokens, rates, ([a, b, c, d], output, [input, cached, write, hour, out]) => {
        const priced = price({
          input: flat(input!),
          cachedInput: flat(cached!),
          cacheWrite: flat(write!),
          cacheWriteHour: flat(hour!),
          output: flat(out!),
        })
        const all = a! + b! + c! + d!
        const usage = used({ input: all, cachedInput: b!, cacheWrite: c!, cacheWriteHour: d!, output })
        expect(costOf(priced, usage)).toBeLessThanOrEqual(maxCostOf(priced, all + 7, output))
      }),
    )
  })

  test('the cost of a short input is within the bound of a longer one, also where longer ones are cheaper', () => {
    const stepped = price({ input: { base: 1_000_000_000, tiers: [{ start: 100, rate: 1_000_000 }] } })
    expect(costOf(stepped, used({ input: 100 }))).toBeLessThanOrEqual(maxCostOf(stepped, 200, 0))
  })

  test('the cost of as many tokens as money pays for fits the money', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 100_000 }),
        fc.integer({ min: 1, max: 1e9 }),
        fc.nat({ max: 1e13 }).map(nanodollars),
        (input, out, money) => {
          const rates = price({ output: flat(out) })
          const output = outputTokensFor(rates, input, money)
          if (output > 0 && output < 1e8) expect(maxCostOf(rates, input, output)).toBeLessThanOrEqual(money)
        },
      ),
    )
  })
})

describe('a price of the list', () => {
  const NOON = Date.parse('2026-11-21T12:00:00Z')

  test('a price of the list names the list that is installed, and the day', async () => {
    const installed = JSON.parse(readFileSync('node_modules/@pydantic/genai-prices/package.json', 'utf8')) as {
      version: string
    }
    const found = await new Prices({ prices: {}, providers: {} }, { now: () => NOON }).get('openai', 'gpt-4o')
    expect([found.source, found.date]).toEqual([`genai-prices ${installed.version}`, '2026-11-21'])
  })

  test('a price of the list is that of the moment, also in a program that runs for months', async () => {
    let now = Date.parse('2026-07-29T23:59:59Z')
    const prices = new Prices({ prices: {}, providers: {} }, { now: () => now })
    expect((await prices.get('openai', 'gpt-5.6-terra')).input.base).toBe(2_500_000)
    now += 1_000
    expect((await prices.get('openai', 'gpt-5.6-terra')).input.base).toBe(2_000_000)
  })

  test.each([
    ['openai', 'gpt-4o-2030-01-01'],
    ['openai', 'gpt-5-nano-pro'],
    ['openai', ' gpt-4o-mini '],
    ['openai', 'GPT-4O'],
    ['anthropic', 'claude-sonnet-5-9'],
    ['deepseek', 'deepseek-chat-pro'],
    ['openai', 'ft:gpt-4.1-2025-04-14:acme::x'],
    ['openai', 'openai/gpt-4o'],
    ['openai', 'claude-sonnet-4-5'],
    ['anthropic', 'gpt-4o'],
    ['anthropic', 'us.anthropic.claude-sonnet-4-5'],
    ['openai', 'whisper-1'],
    ['openai', 'omni-moderation-latest'],
    ['nobody', 'gpt-4o'],
  ])('a price of %s is not guessed for %s, which the list does not map', async (provider, model) => {
    const prices = new Prices({ prices: {}, providers: {} }, { now: () => NOON })
    await expect(prices.get(provider, model)).rejects.toMatchObject({ code: 'price_unknown' })
  })

  test.each([
    ['openai', 'gpt-5-nano-2025-08-07'],
    ['openai', 'ft:gpt-4o-2024-08-06:acme::x'],
    ['anthropic', 'claude-haiku-4-5-20251001'],
    ['anthropic', 'claude-3-5-sonnet-latest'],
    ['google', 'gemini-2.5-pro-preview-05-06'],
    ['together', 'meta-llama/Llama-3.3-70B-Instruct-Turbo'],
    ['cohere', 'c4ai-aya-expanse-32b'],
  ])('a price of %s is that of a dated, numbered or fine-tuned spelling, here %s', async (provider, model) => {
    const prices = new Prices({ prices: {}, providers: {} }, { now: () => NOON })
    expect((await prices.get(provider, model)).source).toMatch(/^genai-prices /)
  })

  test.each([
    // $1 and $1 a million, and $12 for a thousand calls.
    { provider: 'perplexity', model: 'sonar', more: { input: 100, output: 50 }, usd: '0.01215', isEstimate: false },
    // 2,000 × $120, and 1,000 × $12 a million.
    { provider: 'google', model: 'gemini-3-pro-image', more: { output: 3_000, imageOutput: 2_000 }, usd: '0.252' },
    // The reply does not separate the image tokens.
    { provider: 'google', model: 'gemini-3-pro-image', more: { output: 3_000 }, usd: '0.36', isEstimate: true },
    // 1,000 × $3 and 10,000 × $2 a million, and three searches at half a cent.
    {
      provider: 'perplexity',
      model: 'sonar-deep-research',
      more: { reasoning: 1_000, citation: 10_000, webSearches: 3 },
      usd: '0.038',
    },
  ])('a price of $model has all of its kinds', async ({ provider, model, more, usd, isEstimate = false }) => {
    const price = await new Prices({ prices: {}, providers: {} }, { now: () => NOON }).get(provider, model)
    const usage = used(more)
    expect([toUsd(costOf(price, usage)), !isExact(price, usage)]).toEqual([usd, isEstimate])
    const { input = 0, output = 0, webSearches = 0 } = usage
    const uses = { ...PLAIN, searches: webSearches, besideTokens: 11_000 }
    expect(maxCostOf(price, input, output, uses)).toBeGreaterThanOrEqual(costOf(price, usage))
  })

  test('a price of the list in a unit that is not counted is no price', async () => {
    const prices = new Prices({ prices: {}, providers: {} }, { now: () => NOON })
    await expect(prices.get('mistral', 'mistral-ocr-latest')).rejects.toMatchObject({ code: 'price_unknown' })
  })

  test('a listed price of another provider does not apply', async () => {
    const prices = new Prices({ prices: {}, providers: {} }, { now: () => NOON })
    expect((await prices.get('groq', 'llama-3.3-70b-versatile')).input.base).toBe(590_000)
  })
})

describe('a price of the configuration', () => {
  test('a configured price without some rates uses the input rate for them', () => {
    const whole = fromConfig(
      {
        input_per_mtok: 2,
        cached_input_per_mtok: 0.2,
        cache_write_per_mtok: 2.5,
        cache_write_1h_per_mtok: 4,
        output_per_mtok: 8,
        audio_input_per_mtok: 32,
        web_search_per_thousand: 10,
        context_window: 32_000,
      },
      'openai',
      'mine',
    )
    expect(whole).toMatchObject({
      input: flat(2_000_000),
      cachedInput: flat(200_000),
      cacheWrite: flat(2_500_000),
      cacheWriteHour: flat(4_000_000),
      output: flat(8_000_000),
      audioInput: flat(32_000_000),
      audioOutput: undefined,
      webSearch: 10_000_000_000,
      contextWindow: 32_000,
      source: 'config',
    })
    const short = fromConfig({ input_per_mtok: 2, cache_write_per_mtok: 3, output_per_mtok: 8 }, 'openai', 'mine')
    expect(short).toMatchObject({ cachedInput: flat(2_000_000), cacheWriteHour: flat(3_000_000), webSearch: undefined })
  })

  test.each([
    { providers: ['openai', 'anthropic', 'house'], has: ['openai', 'anthropic', 'house'] },
    { providers: ['openai', 'anthropic', 'house', 'openrouter'], has: ['openai', 'anthropic'] },
  ])(
    'a configured price without a provider is for the vendors, and for another where that is the only one: $providers',
    async (row) => {
      const config = {
        prices: { mine: { input_per_mtok: 0, output_per_mtok: 0 } },
        providers: Object.fromEntries(row.providers.map((name) => [name, {}])),
      }
      const prices = new Prices(config, { now: Date.now })
      const has = await Promise.all(
        row.providers.map((name) =>
          prices.get(name, 'mine').then(
            () => [name],
            (error: { hint: string }) => {
              expect(error.hint).toContain(`write "${name}/mine" under "prices"`)
              return []
            },
          ),
        ),
      )
      expect(has.flat()).toEqual(row.has)
    },
  )

  const BOTH = { openai: {}, groq: {}, house: { price: { input_per_mtok: 7, output_per_mtok: 7 } } }
  const one = (usd: number) => ({ input_per_mtok: usd, output_per_mtok: usd })
  const inputOf = async (prices: Record<string, ReturnType<typeof one>>, provider: string, model: string) => {
    const price = await new Prices({ prices, providers: BOTH }, { now: Date.now })
      .get(provider, model)
      .catch(() => null)
    return price && price.input.base / 1_000_000
  }

  test.each([
    ['openai', 'gpt-9-mini', 1],
    ['openai', 'gpt-9-mini-x', 2],
    ['openai', 'gpt-9', 3],
    ['openai', 'gpt-9-', 1],
    ['groq', 'gpt-9-mini', 4],
    ['house', 'gpt-9-mini', 7],
    ['openai', 'constructor', null],
    ['openai', 'gpt-9*', null],
  ])(
    'a configured price with a wildcard is that of the most specific key, for its provider: %s/%s',
    async (provider, model, usd) => {
      const prices = { 'gpt-9-*': one(1), 'gpt-9-*-x': one(2), 'gpt-9': one(3), 'groq/*': one(4), '*': one(5) }
      if (model === 'constructor' || model === 'gpt-9*') delete (prices as Record<string, unknown>)['*']
      expect(await inputOf(prices, provider, model)).toBe(usd)
    },
  )

  test('a configured price for a provider applies to its models that have no other', async () => {
    expect(await inputOf({}, 'house', 'anything')).toBe(7)
    expect(await inputOf({ 'house/anything': one(8) }, 'house', 'anything')).toBe(8)
  })

  test('a missing price is the highest of every kind at that provider, as an estimate, if so configured', async () => {
    const price_list = { unknown: 'dearest' as const }
    const prices = new Prices({ prices: {}, providers: { groq: {}, house: {} }, price_list }, { now: Date.now })
    const dearest = await prices.get('groq', 'unheard-of')
    const listed = (await BUILT_IN_LIST.models('groq', Date.now())).map(({ price }) => price)
    expect(dearest.input.base).toBe(Math.max(...listed.map(({ input }) => input.base)))
    expect(dearest.output.base).toBe(Math.max(...listed.map(({ output }) => output.base)))
    expect(isExact(dearest, used({ input: 1, output: 1 }))).toBe(false)
    for (const price of listed) {
      const usage = used({ input: 300_000, cachedInput: 9, cacheWrite: 7, cacheWriteHour: 5, output: 1_000 })
      expect(costOf(dearest, usage)).toBeGreaterThanOrEqual(costOf(price, usage))
    }
    // A provider that is not listed: of the whole list.
    expect((await prices.get('house', 'mine')).input.base).toBeGreaterThan(dearest.input.base)
  })

  const jumps = (prices: Record<string, object>) =>
    requirePlausiblePrices(configSchema.parse({ prices }), (key) => `a.yaml at ${key}`, {
      list: BUILT_IN_LIST,
      atMs: Date.parse('2026-11-21'),
    })

  test.each([
    ['a thousandth', { input_per_mtok: 0.03, output_per_mtok: 60 }, 'input_per_mtok'],
    ['a hundred times', { input_per_mtok: 30, output_per_mtok: 6_000 }, 'output_per_mtok'],
    ['nothing', { input_per_mtok: 0, output_per_mtok: 60 }, 'input_per_mtok'],
    [
      'a thousandth for cached tokens',
      { input_per_mtok: 30, cached_input_per_mtok: 0.03, output_per_mtok: 60 },
      'cached_input_per_mtok',
    ],
  ])('a configured price that is %s of the list is refused by name, unless it is meant', async (_what, price, name) => {
    await expect(jumps({ 'gpt-4': price })).rejects.toMatchObject({
      code: 'invalid_config',
      problems: [
        {
          place: `a.yaml at prices.gpt-4.${name}`,
          key: `prices.gpt-4.${name}`,
          what: expect.stringMatching(
            /^expected at most 20 times more or less than \d+ \(genai-prices .+\), or "confirm: true" beside it, got/,
          ),
        },
      ],
    })
    await jumps({ 'gpt-4': { ...price, confirm: true } })
  })

  test('a price within twenty times of the list, or of an unlisted model, is accepted', async () => {
    await jumps({
      'gpt-4': { input_per_mtok: 600, output_per_mtok: 3 },
      'claude-sonnet-5': { input_per_mtok: 0.1, output_per_mtok: 200 },
      mine: { input_per_mtok: 0, output_per_mtok: 90_000 },
      // Near one of the models that it means.
      'gpt-4*': { input_per_mtok: 600, output_per_mtok: 3 },
    })
    await expect(jumps({ 'gpt-4*': { input_per_mtok: 10_000, output_per_mtok: 3 } })).rejects.toThrow(
      'prices["gpt-4*"].input_per_mtok',
    )
  })
})

describe('the rates stored with a call', () => {
  test('a call stores the rates that applied, per token and per use, the tier, and the list', async () => {
    const found = await new Prices({ prices: {}, providers: {} }, { now: () => Date.parse('2026-11-21') }).get(
      'openai',
      'gpt-5.4',
    )
    const usage = used({ input: 300_000, output: 10, webSearches: 1, terms: ['flex'] })
    expect(appliedRates(found, usage)).toEqual({
      source: found.source,
      date: '2026-11-21',
      input: 5_000_000,
      cached_input: 500_000,
      cache_write: 5_000_000,
      cache_write_hour: 5_000_000,
      output: 22_500_000,
      web_search: 10_000_000_000,
      terms: 'flex',
      factor: '1/2',
    })
  })
})
