import { describe, expect, test } from 'vitest'
import { boundCall, countTokens, TEXT_ONLY } from '../../src/budget/estimate.ts'
import type { Price } from '../../src/budget/prices.ts'
import { Prices } from '../../src/budget/prices.ts'
import { systemClock } from '../../src/clock.ts'
import { fromUsd } from '../../src/money.ts'

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

describe('the most a call can cost', () => {
  test('is a token for each byte of the request, and the longest answer, for each answer', async () => {
    const bound = await boundCall(priceOf(2, 8), { ...size, answers: 3 }, fromUsd('50'), true)
    // 1,000 × $2 + 3 × 100 × $8 a million
    expect(bound).toEqual({ most: fromUsd('0.0044'), clampTo: null, toolUses: null })
  })

  test('is looked at with the tokenizer only when the bytes do not fit', async () => {
    let asked = 0
    const text = () => {
      asked += 1
      return 'word '.repeat(200)
    }
    const price = priceOf(1_000, 0)
    expect((await boundCall(price, { ...size, text }, fromUsd('1'), true)).most).toBe(fromUsd('1'))
    expect(asked).toBe(0)
    // About 200 tokens and the framing.
    const { most } = await boundCall(price, { ...size, text }, fromUsd('0.999'), true)
    expect(asked).toBe(1)
    expect(most).toBeGreaterThanOrEqual(fromUsd('0.2'))
    expect(most).toBeLessThan(fromUsd('0.3'))
  })

  test.each([
    { name: 'half of what is left', available: '1', contextWindow: null, clampTo: 500 },
    { name: 'what most answers need', available: '100', contextWindow: null, clampTo: 16_384 },
    { name: 'all that the model can say', available: '100', contextWindow: 8_192, clampTo: null },
    { name: 'one token when nothing is left', available: '0', contextWindow: null, clampTo: 1 },
  ])('of one that does not say how much it wants is $name', async ({ available, contextWindow, clampTo }) => {
    const unsaid = { ...size, bytes: 0, maxOutputTokens: null }
    const bound = await boundCall(priceOf(1, 1_000, contextWindow), unsaid, fromUsd(available), true)
    expect(bound).toEqual({ clampTo, most: fromUsd('0.001') * (clampTo ?? contextWindow ?? 0), toolUses: null })
  })

  test('of one that does not say how much it wants is not cut to the budget when that is not wanted', async () => {
    const unsaid = { ...size, bytes: 0, maxOutputTokens: null }
    expect((await boundCall(priceOf(1, 1_000), unsaid, fromUsd('1'), false)).clampTo).toBe(16_384)
  })
})

describe('counting tokens', () => {
  test.each([
    ['Hello, world!', 4],
    ['', 0],
    ['<|endoftext|>', 7],
  ])('of %s', async (text, tokens) => {
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
  ])('of a quarter of a megabyte of %s holds nobody up', async (_name, piece) => {
    await countTokens('warm', 'gpt-4o')
    const text = piece.repeat(262_144 / piece.length)
    const began = performance.now()
    const tokens = await countTokens(text, 'gpt-4o')
    // A loaded machine is slow; the square of the length would be a minute.
    expect(performance.now() - began).toBeLessThan(1_000)
    expect(tokens).toBeGreaterThan(1_000)
    expect(tokens).toBeLessThanOrEqual(Buffer.byteLength(text))
  })

  test('of a longer text is a quarter of its bytes', async () => {
    expect(await countTokens('a'.repeat(400_000), 'gpt-4o')).toBe(100_000)
  })
})

describe('a price', () => {
  test.each([
    ['openai', 'gpt-4', 30, 60],
    ['openai', 'gpt-3.5-turbo', 0.5, 1.5],
    ['openai', 'gpt-4o-2024-08-06', 2.5, 10],
    ['anthropic', 'claude-3-5-haiku-latest', 0.8, 4],
  ])('of %s %s is known', async (provider, model, input, output) => {
    const price = await new Prices({}, systemClock).get(provider, model)
    expect([price.input.base, price.output.base]).toEqual([input * 1_000_000, output * 1_000_000])
    expect(price.source).toMatch(/^genai-prices \d/)
  })

  test('of the configuration goes above the list, and is read once', async () => {
    const prices = new Prices({ 'gpt-4': { input_per_mtok: 1, output_per_mtok: 2 } }, systemClock)
    const price = await prices.get('openai', 'gpt-4')
    expect(price).toMatchObject({ source: 'config', input: { base: 1_000_000 }, cachedInput: { base: 1_000_000 } })
    expect(await prices.get('openai', 'gpt-4')).toBe(price)
  })

  test.each(['never-heard-of', '', 'constructor', '__proto__', 'hasOwnProperty', 'gpt-4; DROP TABLE calls'])(
    'of "%s" is not known, and nothing is made up',
    async (model) => {
      await expect(new Prices({}, systemClock).get('openai', model)).rejects.toMatchObject({ code: 'price_unknown' })
    },
  )
})
