/**
 * The public price list, a dependency that is loaded at first use. The vendors' own pages are behind it; what they
 * publish and the list does not have (service tiers, preview searches) is in `service-terms.ts` and here.
 *
 * A tier of the list begins above `start` tokens of input, cached or not, and then holds for the whole call, output
 * included: so the vendors charge, and so the list's own calculator counts.
 */
import type { ModelPrice, PriceCalculation } from '@pydantic/genai-prices'
import packageJson from '../../package.json' with { type: 'json' }
import { outputLimit } from './output-limits.ts'
import type { Price } from './price.ts'
import { flatRate, picosPerUse, type Rate, toPicos } from './rate.ts'
import { termsOf } from './service-terms.ts'

/** The version is pinned there, so it is the one that is installed and bundled (`prices.test.ts` compares). */
export const LIST = `genai-prices ${packageJson.devDependencies['@pydantic/genai-prices']}`

/** The day that version was published; changed together with it. */
export const LIST_PUBLISHED = '2026-09-23'

/** OpenAI's search models and its older search tool with models that do not reason: $25 for a thousand. */
const PREVIEW_SEARCH = picosPerUse(25)

/** The price at a moment, or undefined for a model that the list does not map. */
export async function listed(provider: string, model: string, atMs: number): Promise<Price | undefined> {
  const { calcPrice } = await import('@pydantic/genai-prices')
  const at = new Date(atMs)
  const found = calcPrice({}, model, { providerId: provider, timestamp: at })
  const price = found ? toPrice(found, provider, at) : undefined
  if (!found || !price) return undefined
  return { ...price, ...(await outputOf(provider, [model, found.model.id], price.contextWindow)) }
}

/** What a model answers with at most. The vendor's own figures are certain but for small windows, which are shared. */
async function outputOf(
  provider: string,
  names: readonly string[],
  window: number | null,
): Promise<Pick<Price, 'outputLimit' | 'longestAnswer'>> {
  const limit = await outputLimit(provider, names)
  if (limit === undefined) return {}
  const isCertain = provider === 'openai' && (window === null || window > SMALL_WINDOW)
  return { outputLimit: limit, ...(isCertain && { longestAnswer: limit }) }
}

const SMALL_WINDOW = 8_192

export interface ListedModel {
  provider: string
  /** As the list names it; dated names are other spellings of it. */
  model: string
  price: Price
}

/** Every model of a provider that has a price per token, in the list's order; none for a provider it does not know. */
export async function listedModels(provider: string, atMs: number): Promise<ListedModel[]> {
  const { calcPrice, findProvider } = await import('@pydantic/genai-prices')
  const known = findProvider({ providerId: provider })
  const at = new Date(atMs)
  return (known?.models ?? []).flatMap(({ id }): ListedModel[] => {
    const found = calcPrice({}, id, { provider: known, timestamp: at })
    const price = found?.model.id === id ? toPrice(found, provider, at) : undefined
    return price ? [{ provider, model: id, price }] : []
  })
}

function toPrice({ model, model_price: prices }: PriceCalculation, provider: string, at: Date): Price | undefined {
  const input = toRate(prices.input_mtok)
  // A model without an input price is not one we can count.
  if (!input) return undefined
  const cacheWrite = toRate(prices.cache_write_mtok) ?? input
  const webSearch = perThousand(prices.web_searches_kcount)
  return {
    input,
    cachedInput: toRate(prices.cache_read_mtok) ?? input,
    cacheWrite,
    cacheWriteHour: toRate(prices.cache_write_1h_mtok) ?? cacheWrite,
    // Embeddings have no output.
    output: toRate(prices.output_mtok) ?? flatRate(0),
    audioInput: toRate(prices.input_audio_mtok),
    audioOutput: toRate(prices.output_audio_mtok),
    webSearch,
    previewSearch: provider === 'openai' && /^gpt-4/.test(model.id) ? PREVIEW_SEARCH : webSearch,
    fileSearch: perThousand(prices.storage_searches_kcount),
    terms: termsOf(provider, model.id),
    contextWindow: model.context_window ?? null,
    source: LIST,
    date: at.toISOString().slice(0, 10),
  }
}

function toRate(price: ModelPrice[string]): Rate | undefined {
  if (price === undefined) return undefined
  if (typeof price === 'number') return flatRate(price)
  return {
    base: toPicos(price.base),
    tiers: price.tiers.map((tier) => ({ start: tier.start, rate: toPicos(tier.price) })),
  }
}

/** Picodollars for one, of dollars for a thousand. */
const perThousand = (usd: ModelPrice[string]): number | undefined =>
  typeof usd === 'number' ? picosPerUse(usd) : undefined
