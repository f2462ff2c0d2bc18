/**
 * The public price list: a dependency that is loaded on first use, or a newer edition of it that the configuration
 * pins. It is based on the vendors' own pages; prices that the list lacks (service tiers, preview searches) are in
 * `service-terms.ts` and here.
 *
 * A tier of the list begins above `start` tokens of input, cached or not, and then applies to the whole call, output
 * included: this is how the vendors charge, and how the list's own calculator counts.
 */
import type { MatchLogic, ModelPrice, PriceCalculation, Provider } from '@pydantic/genai-prices'
import { KNOWN_PROVIDER_NAMES, knownProvider } from '../dialects/known-providers.ts'
import { outputLimit } from './output-limits.ts'
import type { Price } from './price.ts'
import { flatRate, picosPerUse, type Rate, rateAt, toPicos } from './rate.ts'
import { termsOf } from './service-terms.ts'

/** The built-in list and the day it was published; update both with the dependency (compared in `prices.test.ts`). */
const BUILT_IN_NAME = 'genai-prices 0.1.8'
const BUILT_IN_DATE = '2026-09-23'

/** OpenAI's search models, and its older search tool with models that do not reason: $25 per thousand. */
const PREVIEW_SEARCH = picosPerUse(25)

export interface ListedModel {
  /** As it was asked for. */
  provider: string
  /** The list's name; dated names are other spellings of it. */
  model: string
  price: Price
}

/** A list: the built-in one, or one that the configuration pins (`pinned-list.ts`). */
export class PriceList {
  /** As the source of its prices is shown. */
  readonly name: string
  /** The day of its publication, as "2026-11-21". */
  readonly date: string
  readonly #providers: readonly Provider[] | undefined

  /** `providers`: its data. (Default: those of the dependency, loaded on first use.) */
  constructor(name: string, date: string, providers?: readonly Provider[]) {
    this.name = name
    this.date = date
    this.#providers = providers
  }

  /** Its age in whole days; negative for a day in the future. */
  ageDays(nowMs: number): number {
    return Math.floor((nowMs - Date.parse(this.date)) / 86_400_000)
  }

  /** Returns the price at a moment, or undefined for a model that the list does not map. */
  async price(name: string, model: string, atMs: number): Promise<Price | undefined> {
    const { calcPrice } = await import('@pydantic/genai-prices')
    const provider = listedAs(name)
    const known = await this.#find(provider)
    const at = new Date(atMs)
    const found = known && calcPrice({}, model, { provider: known, timestamp: at })
    const price =
      found && (found.model.id === model || isSpelling(found.model.match, model))
        ? this.#toPrice(found, provider, at)
        : undefined
    if (!found || !price) return undefined
    return { ...price, ...(await outputOf(provider, [model, found.model.id], price.contextWindow)) }
  }

  /** Returns every model of a provider that has a price per token, in the list's order; none for an unknown provider. */
  async models(name: string, atMs: number): Promise<ListedModel[]> {
    const { calcPrice } = await import('@pydantic/genai-prices')
    const provider = listedAs(name)
    const known = await this.#find(provider)
    const at = new Date(atMs)
    return (known?.models ?? []).flatMap(({ id }): ListedModel[] => {
      const found = calcPrice({}, id, { provider: known!, timestamp: at })
      const price = found?.model.id === id ? this.#toPrice(found, provider, at) : undefined
      return price ? [{ provider: name, model: id, price }] : []
    })
  }

  /** The same of all providers. */
  async allModels(atMs: number): Promise<ListedModel[]> {
    const names = this.#providers?.map(({ id }) => id) ?? KNOWN_PROVIDER_NAMES
    return (await Promise.all(names.map((name) => this.models(name, atMs)))).flat()
  }

  async #find(provider: string): Promise<Provider | undefined> {
    if (this.#providers) return this.#providers.find(({ id }) => id === provider)
    const { findProvider } = await import('@pydantic/genai-prices')
    return findProvider({ providerId: provider })
  }

  #toPrice(found: PriceCalculation, provider: string, at: Date): Price | undefined {
    const price = toPrice(found, provider)
    return price && { ...price, source: this.name, date: at.toISOString().slice(0, 10) }
  }
}

/** A provider's name in the list. */
const listedAs = (provider: string): string => knownProvider(provider)?.pricedAs ?? provider

export const BUILT_IN_LIST = new PriceList(BUILT_IN_NAME, BUILT_IN_DATE)

/** Returns a model's maximum answer. Vendors' own figures are certain, except for small windows, which are shared. */
async function outputOf(
  provider: string,
  names: readonly string[],
  window: number | null,
): Promise<Pick<Price, 'outputLimit' | 'maxAnswerTokens'>> {
  const limit = await outputLimit(provider, names)
  if (limit === undefined) return {}
  const isCertain = provider === 'openai' && (window === null || window > SMALL_WINDOW)
  return { outputLimit: limit, ...(isCertain && { maxAnswerTokens: limit }) }
}

const SMALL_WINDOW = 8_192

/**
 * Returns whether the list means this name: exactly, or as a dated, numbered or fine-tuned spelling of a listed one.
 * The list's own search is looser: it ignores case and spaces, and "gpt-5-nano-" would match names of future models.
 */
function isSpelling(match: MatchLogic, model: string): boolean {
  if ('or' in match) return match.or.some((one) => isSpelling(one, model))
  if ('and' in match) return match.and.every((one) => isSpelling(one, model))
  if ('regex' in match) return new RegExp(match.regex).test(model)
  if ('equals' in match) return model === match.equals || withDashes(model) === match.equals
  if ('starts_with' in match) return model.startsWith(match.starts_with) && isVersion(model, match.starts_with)
  if ('ends_with' in match) return model.endsWith(match.ends_with) && VENDOR_PATH.test(beforeOf(model, match.ends_with))
  return VENDOR_PATH.test(beforeOf(model, match.contains)) && isVersion(model, match.contains)
}

const beforeOf = (model: string, name: string): string => model.slice(0, Math.max(0, model.lastIndexOf(name)))

/** Returns whether `model` is a version of `name`. */
function isVersion(model: string, name: string): boolean {
  const at = model.lastIndexOf(name)
  if (at < 0) return false
  const rest = model.slice(at + name.length)
  return name.startsWith('ft:')
    ? FINE_TUNED.test(rest)
    : name.endsWith('.ft-')
      ? /^[\w-]*$/.test(rest)
      : VERSION.test(rest)
}

/** "us.anthropic.", "publishers/google/models/" before a name. */
const VENDOR_PATH = /^([a-z0-9-]+[./])*$/
/**
 * "-2024-08-06", "-20241022-v1:0", "@20250514", "-preview-05-06", "-001", "-latest". A single digit is another model.
 */
const VERSION = /^[-@]?((\d{2,8}|v\d+(\.\d+)*(:\d+)?|latest|preview|exp|instruct|chat)([-@]|$))*$/
/** "-0125:acme::abc" */
const FINE_TUNED = /^[-\d]*(:[\w-]*){0,3}$/

/** "-20240806" as "-2024-08-06". */
const withDashes = (model: string): string => model.replace(/-(20\d\d)(\d\d)(\d\d)$/, '-$1-$2-$3')

/** All kinds of price that are counted here. A model with any other kind counts as unpriced. */
const COUNTED_KINDS: ReadonlySet<string> = new Set([
  'input_mtok',
  'input_image_mtok',
  'input_video_mtok',
  'input_audio_mtok',
  'cache_read_mtok',
  'cache_audio_read_mtok',
  'cache_image_read_mtok',
  'cache_write_mtok',
  'cache_write_1h_mtok',
  'output_mtok',
  'output_audio_mtok',
  'output_image_mtok',
  'output_video_mtok',
  'output_reasoning_mtok',
  'output_citation_mtok',
  'web_searches_kcount',
  'storage_searches_kcount',
  'requests_kcount',
])

function toPrice(
  { model, model_price: prices }: PriceCalculation,
  provider: string,
): Omit<Price, 'source'> | undefined {
  if (Object.keys(prices).some((kind) => !COUNTED_KINDS.has(kind))) return undefined
  // No usage counts images or video input separately.
  const input = highest([prices.input_mtok, prices.input_image_mtok, prices.input_video_mtok].map(toRate))
  // A model without an input price cannot be counted.
  if (!input || prices.input_mtok === undefined) return undefined
  const cacheWrite = toRate(prices.cache_write_mtok) ?? input
  const webSearch = perThousand(prices.web_searches_kcount)
  return {
    input,
    cachedInput: highest([prices.cache_read_mtok, prices.cache_image_read_mtok].map(toRate)) ?? input,
    cachedAudio: toRate(prices.cache_audio_read_mtok),
    cacheWrite,
    cacheWriteHour: toRate(prices.cache_write_1h_mtok) ?? cacheWrite,
    // Embeddings have no output.
    output: toRate(prices.output_mtok) ?? flatRate(0),
    audioInput: toRate(prices.input_audio_mtok) ?? audioAsInput(provider, input),
    audioOutput: toRate(prices.output_audio_mtok),
    // All that such a model writes is images.
    imageOutput:
      highest([prices.output_image_mtok, prices.output_video_mtok].map(toRate)) ??
      (/^gpt-image-/.test(model.id) ? toRate(prices.output_mtok) : undefined),
    reasoning: toRate(prices.output_reasoning_mtok),
    citation: toRate(prices.output_citation_mtok),
    request: perThousand(prices.requests_kcount),
    webSearch,
    previewSearch: provider === 'openai' && /^gpt-4/.test(model.id) ? PREVIEW_SEARCH : webSearch,
    fileSearch: perThousand(prices.storage_searches_kcount),
    terms: termsOf(provider, model.id),
    contextWindow: model.context_window ?? null,
  }
}

/** Google's models have one rate for all that they read, unless another is published for audio. */
export const audioAsInput = (provider: string, input: Rate): Rate | undefined =>
  listedAs(provider) === 'google' ? input : undefined

/** Returns the highest rate; rates with tiers are higher than those without. */
const highest = (rates: readonly (Rate | undefined)[]): Rate | undefined =>
  rates.reduce(
    (highest, rate) => (highest && (!rate || rateAt(highest, 0) >= rateAt(rate, 0)) ? highest : rate),
    undefined,
  )

function toRate(price: ModelPrice[string]): Rate | undefined {
  if (price === undefined) return undefined
  if (typeof price === 'number') return flatRate(price)
  return {
    base: toPicos(price.base),
    tiers: price.tiers.map((tier) => ({ start: tier.start, rate: toPicos(tier.price) })),
  }
}

/** Converts dollars per thousand to picodollars per use. */
const perThousand = (usd: ModelPrice[string]): number | undefined =>
  typeof usd === 'number' ? picosPerUse(usd) : undefined
