import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { costOf, mostOf, outputTokensFor, type Price, type Usage } from '../../src/budget/prices.ts'
import type { Rate } from '../../src/budget/rate.ts'

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
  ])('of $usage is $nanos nanodollars', ({ usage, nanos }) => {
    expect(costOf(price(), used(usage))).toBe(nanos)
  })

  test('is rounded up to a nanodollar, never down to nothing', () => {
    const cheap = price({ input: flat(137_500), output: flat(0) })
    expect(costOf(cheap, used({ input: 1 }))).toBe(138)
    expect(costOf(cheap, used({ input: 2 }))).toBe(275)
    expect(costOf(price({ input: flat(1) }), used({ input: 1 }))).toBe(1)
  })

  test('steps with the length of the input, for the whole call', () => {
    const stepped = price({ input: { base: 1_000_000, tiers: [{ start: 200_000, rate: 2_000_000 }] } })
    expect(costOf(stepped, used({ input: 200_000 }))).toBe(200_000_000)
    expect(costOf(stepped, used({ input: 200_001 }))).toBe(400_002_000)
  })

  test('is exact where doubles are not', () => {
    const dear = price({ input: flat(100_000_000_001) })
    expect(costOf(dear, used({ input: 90_000_001 }))).toBe(Number((90_000_001n * 100_000_000_001n + 999n) / 1000n))
  })

  test('is never more than the bound that was held for it', () => {
    const tokens = fc.nat({ max: 2_000_000 })
    const picos = fc.nat({ max: 100_000_000_000 })
    fc.assert(
      fc.property(tokens, tokens, tokens, picos, picos, picos, picos, (a, b, output, input, cached, write, out) => {
        const rates = price({
          input: flat(input),
          cachedInput: flat(cached),
          cacheWrite: flat(write),
          output: flat(out),
        })
        const usage = used({ input: a + b, cachedInput: Math.floor(a / 2), cacheWrite: Math.ceil(a / 2), output })
        expect(costOf(rates, usage)).toBeLessThanOrEqual(mostOf(rates, a + b + 7, output))
      }),
    )
  })

  test('of as many tokens as money pays for fits the money', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 100_000 }),
        fc.integer({ min: 1, max: 1e9 }),
        fc.nat({ max: 1e13 }),
        (input, out, money) => {
          const rates = price({ output: flat(out) })
          const output = outputTokensFor(rates, input, money)
          if (output > 0 && output < 1e8) expect(mostOf(rates, input, output)).toBeLessThanOrEqual(money)
        },
      ),
    )
  })
})
