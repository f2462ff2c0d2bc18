/**
 * What a token costs. A public price list (a dependency, loaded at first use) with overrides from the configuration.
 * A model that neither knows has no price, and a call without a price is not sent.
 */
import type { PriceCalculation } from '@pydantic/genai-prices'
import type { Config } from '../config/schema.ts'
import { PriceUnknownError } from '../errors.ts'
import type { Nanodollars } from '../money.ts'

/** Picodollars per token: $1 per million tokens is 1,000,000. */
export interface Rate {
  base: number
  /** From this many input tokens on, the whole call costs this instead. */
  tiers: { start: number; rate: number }[]
}

export interface Price {
  input: Rate
  cachedInput: Rate
  cacheWrite: Rate
  cacheWriteHour: Rate
  output: Rate
  /** The model's context window in tokens, when known: no answer is longer. */
  contextWindow: number | null
  /** Where the price is from: the list with its version, or "config". */
  source: string
}

/** Tokens of one call. `input` is everything read, cached or not: the parts below are within it. */
export interface Usage {
  input: number
  cachedInput: number
  cacheWrite: number
  cacheWriteHour: number
  output: number
}

export class Prices {
  readonly #overrides: Config['prices']
  readonly #known = new Map<string, Price>()

  constructor(overrides: Config['prices']) {
    this.#overrides = overrides
  }

  /** Throws PriceUnknownError. */
  async get(provider: string, model: string): Promise<Price> {
    const key = `${provider}/${model}`
    const known = this.#known.get(key)
    if (known) return known
    const price = this.#override(model) ?? (await listed(provider, model))
    if (!price) throw new PriceUnknownError(provider, model)
    // Model names come from agents: what they make up must not fill the memory.
    if (this.#known.size < 1_000) this.#known.set(key, price)
    return price
  }

  #override(model: string): Price | undefined {
    // The name comes from an agent: "constructor" is on every object.
    const override = Object.hasOwn(this.#overrides, model) ? this.#overrides[model] : undefined
    if (!override) return undefined
    const input = flat(override.input_per_mtok)
    return {
      input,
      cachedInput: override.cached_input_per_mtok === undefined ? input : flat(override.cached_input_per_mtok),
      cacheWrite: input,
      cacheWriteHour: input,
      output: flat(override.output_per_mtok),
      contextWindow: null,
      source: 'config',
    }
  }
}

/** What `usage` costs, rounded up to the next nanodollar. */
export function costOf(price: Price, usage: Usage): Nanodollars {
  const { input, cachedInput, cacheWrite, cacheWriteHour, output } = usage
  const parts: [tokens: number, rate: Rate][] = [
    [input - cachedInput - cacheWrite - cacheWriteHour, price.input],
    [cachedInput, price.cachedInput],
    [cacheWrite, price.cacheWrite],
    [cacheWriteHour, price.cacheWriteHour],
    [output, price.output],
  ]
  // Beyond 2^53 picodollars (about $9,000) numbers would round.
  const picos = parts.reduce((sum, [tokens, rate]) => sum + BigInt(tokens) * BigInt(rateAt(rate, input)), 0n)
  return Number((picos + 999n) / 1000n)
}

/** The rates that `costOf` uses, for the call's row: picodollars per token, and the list they are from. */
export function appliedRates(price: Price, { input }: Usage): Record<string, number | string> {
  const { input: plain, cachedInput, cacheWrite, cacheWriteHour, output, source } = price
  const rates = {
    input: plain,
    cached_input: cachedInput,
    cache_write: cacheWrite,
    cache_write_hour: cacheWriteHour,
    output,
  }
  return { source, ...Object.fromEntries(Object.entries(rates).map(([name, rate]) => [name, rateAt(rate, input)])) }
}

/** The most that `inputTokens` (however cached) and `outputTokens` can cost. */
export function mostOf(price: Price, inputTokens: number, outputTokens: number): Nanodollars {
  const highest = [price.input, price.cachedInput, price.cacheWrite, price.cacheWriteHour]
    .map((rate) => rateAt(rate, inputTokens))
    .reduce((a, b) => Math.max(a, b))
  const output = rateAt(price.output, inputTokens)
  return Number((BigInt(inputTokens) * BigInt(highest) + BigInt(outputTokens) * BigInt(output) + 999n) / 1000n)
}

/** How many output tokens `money` pays for after the input is paid; never negative. */
export function outputTokensFor(price: Price, inputTokens: number, money: Nanodollars): number {
  const left = money - mostOf(price, inputTokens, 0)
  const rate = rateAt(price.output, inputTokens)
  return rate === 0 ? Number.MAX_SAFE_INTEGER : Math.max(0, Math.floor((left * 1000) / rate))
}

const rateAt = ({ base, tiers }: Rate, inputTokens: number): number =>
  tiers.findLast((tier) => inputTokens > tier.start)?.rate ?? base

const flat = (usdPerMillionTokens: number): Rate => ({ base: toPicos(usdPerMillionTokens), tiers: [] })

const toPicos = (usdPerMillionTokens: number): number => Math.round(usdPerMillionTokens * 1_000_000)

async function listed(provider: string, model: string): Promise<Price | undefined> {
  const { calcPrice } = await import('@pydantic/genai-prices')
  const found = calcPrice({ input_tokens: 0, output_tokens: 0 }, model, { providerId: provider })
  if (!found) return undefined
  const prices = found.model_price
  const input = toRate(prices.input_mtok)
  const output = toRate(prices.output_mtok)
  // Embeddings have no output price; a model without an input price is not one we can count.
  if (!input) return undefined
  const cacheWrite = toRate(prices.cache_write_mtok) ?? input
  return {
    input,
    cachedInput: toRate(prices.cache_read_mtok) ?? input,
    cacheWrite,
    cacheWriteHour: toRate(prices.cache_write_1h_mtok) ?? cacheWrite,
    output: output ?? { base: 0, tiers: [] },
    contextWindow: found.model.context_window ?? null,
    source: LIST,
  }
}

const LIST = 'genai-prices 0.1.8'

function toRate(price: PriceCalculation['model_price'][string]): Rate | undefined {
  if (price === undefined) return undefined
  if (typeof price === 'number') return flat(price)
  return {
    base: toPicos(price.base),
    tiers: price.tiers.map((tier) => ({ start: tier.start, rate: toPicos(tier.price) })),
  }
}
