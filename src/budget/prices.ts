/**
 * The cost of a call: the prices of a public list (`price-list.ts`) with overrides from the configuration, times the
 * provider's factor for a service tier (`service-terms.ts`). A model in neither has the price of its provider, if that
 * is configured; else none, and a call without a price is not sent, or is charged as the dearest (`price_list.unknown`).
 *
 * The rules are:
 * - All amounts are integers, in picodollars, and rounded up once, at the end, to a nanodollar.
 * - Parts of a usage are included in the whole: cached and audio tokens in `input`, audio in `output`. Reasoning is
 *   output. Readers of usage (`dialects/`) convert every vendor's counts to this shape.
 * - Usage without a price is charged at the highest known rate, and `isExact` marks it as an estimate. Unconfirmed
 *   counts are not in the cost: `claim.ts` adds their maximum cost.
 */

import type { Config } from '../config/schema.ts'
import type { Clock } from '../core/clock.ts'
import { PriceUnknownError } from '../core/errors.ts'
import { type Nanodollars, nanodollars, UNLIMITED } from '../core/money.ts'
import type { Usage } from '../dialects/dialect.ts'
import { isBuiltIn, knownProvider, vendorAt, vendorOf } from '../dialects/known-providers.ts'
import type { Price } from './price.ts'
import { audioAsInput, BUILT_IN_LIST, type PriceList } from './price-list.ts'
import { flatRate, highestRate, picosPerUse, type Rate, rateAt } from './rate.ts'
import { type Factor, termsOf, UNKNOWN_TERM } from './service-terms.ts'

const MAX_KNOWN = 1_000

export class Prices {
  readonly list: PriceList
  readonly #config: PriceConfig
  readonly #clock: Pick<Clock, 'now'>
  readonly #known = new Map<string, Price>()
  /** Maximum output tokens, by provider and model, that a provider named when it refused more. */
  readonly #named = new Map<string, number>()
  #minute = 0

  /** `list`: the public prices. (Default: the built-in ones.) */
  constructor(config: PriceConfig, clock: Pick<Clock, 'now'>, list: PriceList = BUILT_IN_LIST) {
    this.#config = config
    this.#clock = clock
    this.list = list
  }

  /** Throws PriceUnknownError. */
  async get(provider: string, model: string): Promise<Price> {
    const now = this.#clock.now()
    this.#forgetAt(Math.floor(now / 60_000))
    const key = `${provider}/${model}`
    const known = this.#known.get(key)
    if (known) return known
    const found =
      this.#override(provider, model) ??
      (await this.list.price(this.#vendorOf(provider), model, now)) ??
      this.#priceOfProvider(provider, model) ??
      (await this.#dearest(this.#vendorOf(provider), now))
    if (!found) throw new PriceUnknownError(provider, model, hintFor(this.#config, provider, model))
    const named = this.#named.get(key)
    const price = named === undefined ? found : { ...found, outputLimit: Math.min(named, found.outputLimit ?? named) }
    // Bounded, since agents choose the names of models.
    if (this.#known.size < MAX_KNOWN) this.#known.set(key, price)
    return price
  }

  /** Limits written for a model no longer exceed `tokens`: its provider has refused more. */
  learnOutputLimit(provider: string, model: string, tokens: number): void {
    const key = `${provider}/${model}`
    if (this.#named.size < MAX_KNOWN) this.#named.set(key, tokens)
    this.#known.delete(key)
  }

  /** List prices begin on a day, and some apply to hours of the day. */
  #forgetAt(minute: number): void {
    if (minute === this.#minute) return
    this.#known.clear()
    this.#minute = minute
  }

  #override(provider: string, model: string): Price | undefined {
    const override = overrideOf(this.#config, provider, model)
    return override && fromConfig(override, this.#vendorOf(provider), model)
  }

  #vendorOf(provider: string): string {
    return vendorOf(provider, this.#config.providers[provider]?.base_url)
  }

  #priceOfProvider(provider: string, model: string): Price | undefined {
    const price = this.#config.providers[provider]?.price
    return price ? fromConfig(price, this.#vendorOf(provider), model) : localPrice(this.#config, provider, model)
  }

  /** Returns the highest price of each kind at a provider, or in the whole list if that does not have the provider. */
  async #dearest(provider: string, now: number): Promise<Price | undefined> {
    if (this.#config.price_list?.unknown !== 'dearest') return undefined
    const ofProvider = await this.list.models(provider, now)
    const all = ofProvider.length > 0 ? ofProvider : await this.list.allModels(now)
    return dearestPrice(all.map(({ price }) => price))
  }
}

export interface PriceConfig {
  prices: Config['prices']
  /** By name. */
  providers: Readonly<Record<string, { base_url?: string | undefined; price?: Override | undefined }>>
  /** (Default: models without a price are refused.) */
  price_list?: Pick<Config['price_list'], 'unknown'>
}
type Override = Config['prices'][string]

/**
 * Returns the configured price of a model at one provider. A key is "provider/model"; a model alone means the vendors'
 * own providers, and another one only if that is the only other: a model that is free on one's own machine is not free
 * elsewhere. Of the keys with a wildcard that match, the most specific applies, after those without.
 */
function overrideOf(config: PriceConfig, provider: string, model: string): Override | undefined {
  const qualified = `${provider}/${model}`
  const bare = takesBareNames(config, provider) && !isOfProvider(config, model) ? model : undefined
  for (const name of [qualified, bare]) {
    // Own properties only, since the name comes from an agent: "constructor" is on every object.
    if (name !== undefined && !name.includes('*') && Object.hasOwn(config.prices, name)) return config.prices[name]
  }
  const isMeant = (key: string): boolean => {
    const name = isOfProvider(config, key) ? qualified : bare
    return name !== undefined && key.includes('*') && isMatch(key, name)
  }
  const [best] = Object.keys(config.prices)
    .filter(isMeant)
    .sort((a, b) => b.length - a.length)
  return best === undefined ? undefined : config.prices[best]
}

/** Returns whether a name is one that a key with one "*" means: any characters in its place, also none. */
export function isMatch(key: string, name: string): boolean {
  const [before = '', after] = key.split('*')
  if (after === undefined) return key === name
  return name.length >= key.length - 1 && name.startsWith(before) && name.endsWith(after)
}

const takesBareNames = ({ providers }: PriceConfig, provider: string): boolean => {
  const others = Object.keys(providers).filter((name) => !isBuiltIn(name))
  return isBuiltIn(provider) || others.length === 1
}

/** Returns whether a key begins with a provider. Names of models have slashes too. */
const isOfProvider = ({ providers }: PriceConfig, key: string): boolean =>
  key.includes('/') && Object.hasOwn(providers, key.slice(0, key.indexOf('/')))

/** Returns the providers that a key of `prices` applies to, and the model's name there. */
export function meantBy(config: PriceConfig, key: string): { providers: string[]; model: string } {
  if (isOfProvider(config, key)) {
    const at = key.indexOf('/')
    return { providers: [key.slice(0, at)], model: key.slice(at + 1) }
  }
  return { providers: Object.keys(config.providers).filter((name) => takesBareNames(config, name)), model: key }
}

/** Returns the price of a server on this machine, which is nothing; undefined for any other. */
function localPrice({ providers }: PriceConfig, provider: string, model: string): Price | undefined {
  const known = knownProvider(provider)
  if (!known?.isLocal || known.remoteModels?.test(model)) return
  if (!LOOPBACK.test(new URL(providers[provider]?.base_url ?? known.baseUrl!).hostname)) return
  return { ...fromConfig({ input_per_mtok: 0, output_per_mtok: 0 }, provider, ''), source: 'local' }
}

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/

/** Returns a hint where the usual one, a price for the model, is not the way; undefined otherwise. */
function hintFor({ prices, providers }: PriceConfig, provider: string, model: string): string | undefined {
  if (Object.hasOwn(prices, model))
    return `the price of "${model}" is for the vendors' own providers: write "${provider}/${model}" under "prices" in the configuration`
  const address = providers[provider]?.base_url
  if (address === undefined || !isBuiltIn(provider) || vendorAt(address) !== undefined) return undefined
  return `"${provider}" is the server at ${address}: add "${provider}/${model}" under "prices" in the configuration, or name the server there (providers.<name>.base_url) with a price for all its models (providers.<name>.price)`
}

/** Converts a configured price. Omitted kinds of input cost the same as input. `vendor`: whose terms apply. */
export function fromConfig(price: Config['prices'][string], vendor: string, model: string): Price {
  const input = flatRate(price.input_per_mtok)
  const cacheWrite = given(flatRate, price.cache_write_per_mtok) ?? input
  const search = given(picosPerUse, price.web_search_per_thousand)
  return {
    input,
    cachedInput: given(flatRate, price.cached_input_per_mtok) ?? input,
    cacheWrite,
    cacheWriteHour: given(flatRate, price.cache_write_1h_per_mtok) ?? cacheWrite,
    output: flatRate(price.output_per_mtok),
    audioInput: given(flatRate, price.audio_input_per_mtok) ?? audioAsInput(vendor, input),
    audioOutput: given(flatRate, price.audio_output_per_mtok),
    imageOutput: given(flatRate, price.image_output_per_mtok),
    request: given(picosPerUse, price.calls_per_thousand),
    webSearch: search,
    previewSearch: search,
    terms: termsOf(vendor, model),
    contextWindow: price.context_window ?? null,
    outputLimit: price.max_output_tokens,
    maxAnswerTokens: price.max_output_tokens,
    source: 'config',
  }
}

/** Returns the highest rate of each kind, as an estimate; undefined for no prices. */
function dearestPrice(prices: readonly Price[]): Price | undefined {
  const [first] = prices
  if (!first) return undefined
  const all = [...RATE_KINDS, ...USE_KINDS].map((kind) => [kind, highestOf(prices.map((price) => price[kind]))])
  const rates = Object.fromEntries(all) as Pick<Price, (typeof RATE_KINDS)[number]>
  return { ...first, ...rates, terms: {}, contextWindow: null, source: `dearest of ${first.source}`, isEstimate: true }
}

const RATE_KINDS = [
  'input',
  'cachedInput',
  'cacheWrite',
  'cacheWriteHour',
  'output',
  'audioInput',
  'audioOutput',
  'cachedAudio',
  'imageOutput',
  'reasoning',
  'citation',
] as const satisfies readonly (keyof Price)[]
const USE_KINDS = ['request', 'webSearch', 'previewSearch', 'fileSearch'] as const satisfies readonly (keyof Price)[]

/** Compares rates where they are highest. */
function highestOf(rates: readonly (Rate | number | undefined)[]): Rate | number | undefined {
  const peak = (rate: Rate | number | undefined): number =>
    typeof rate === 'object' ? highestRate([rate], Number.POSITIVE_INFINITY) : (rate ?? -1)
  return rates.reduce((highest, rate) => (peak(rate) > peak(highest) ? rate : highest), undefined)
}

const given = <T>(convert: (usd: number) => T, usd: number | undefined): T | undefined =>
  usd === undefined ? undefined : convert(usd)

/** Returns the cost of `usage`, rounded up to the next nanodollar. */
export function costOf(price: Price, usage: Usage): Nanodollars {
  const lines = tokenLines(price, usage)
  const uses = useLines(price, usage)
  const picos = sumOf(lines) + sumOf(uses)
  if (!usage.terms?.length && isExactSum(picos)) return nanosOf(picos)
  const { times, per } = factorOf(price, usage)
  return roundUp(bigSumOf(lines) * times + bigSumOf(uses) * per, 1000n * per)
}

/** Lines of a usage: tokens, to which the terms apply, or uses, whose rate is undefined without a price. */
type Lines = readonly Line<number | undefined>[]

const sumOf = (lines: Lines): number => lines.reduce((sum, [count, rate]) => sum + count * (rate ?? UNPRICED_USE), 0)

const bigSumOf = (lines: Lines): bigint =>
  lines.reduce((sum, [count, rate]) => sum + BigInt(count) * BigInt(rate ?? UNPRICED_USE), 0n)

/** Above 2^53 picodollars (about $9,000) numbers would be rounded. */
const isExactSum = (picos: number): boolean => picos >= 0 && Number.isSafeInteger(picos)

/** Returns false when anything used has no price: `costOf` is then a likely maximum, not the price. */
export function isExact(price: Price, usage: Usage): boolean {
  return (
    !price.isEstimate &&
    !unknownOf(price, usage) &&
    !usage.unconfirmedTokens &&
    PRICED_KINDS.every((kind) => price[kind] !== undefined || !usage[kind]) &&
    // The share of images in the output, if not reported.
    (price.imageOutput === undefined || usage.imageOutput !== undefined || usage.output === 0) &&
    useLines(price, usage).every(([, rate]) => rate !== undefined) &&
    (usage.terms ?? []).every((term) => !termOf(price, term).isEstimate)
  )
}

/** Kinds of tokens that a price may omit. */
const PRICED_KINDS = ['audioInput', 'audioOutput'] as const

/** Returns the rates that `costOf` uses, for the call's row: picodollars per token and per use, and their source. */
export function appliedRates(price: Price, usage: Usage): Record<string, number | string> {
  const { times, per } = factorOf(price, usage)
  const lines = [...tokenLines(price, usage), ...useLines(price, usage)]
  return {
    source: price.source,
    ...(price.date && { date: price.date }),
    ...Object.fromEntries(lines.map(([, rate, name]) => [name, rate ?? UNPRICED_USE])),
    ...(times === per ? {} : { terms: (usage.terms ?? []).join('+'), factor: `${times}/${per}` }),
  }
}

/** The maximum uses of a call besides plain tokens, for `maxCostOf`. */
export interface MaxUses {
  /** Tokens of the input that may be audio. */
  audioTokens: number
  audioOutput: boolean
  /** Searches of any kind. */
  searches: number
  /** Tokens counted in addition to input and output. */
  besideTokens: number
  terms: readonly string[]
}

export const PLAIN: MaxUses = { audioTokens: 0, audioOutput: false, searches: 0, besideTokens: 0, terms: [] }

/** Returns the maximum cost of `inputTokens` (however cached) and `outputTokens`. */
export function maxCostOf(price: Price, inputTokens: number, outputTokens: number, uses: MaxUses = PLAIN): Nanodollars {
  const highest = highestRate([price.input, price.cachedInput, price.cacheWrite, price.cacheWriteHour], inputTokens)
  const audioTokens = Math.min(uses.audioTokens, inputTokens)
  const beyondText = Math.max(0, highestRate([price.audioInput], inputTokens) - highest)
  const output = highestOutput(price, inputTokens, uses)
  const search = Math.max(price.webSearch ?? UNPRICED_USE, price.previewSearch ?? UNPRICED_USE, price.fileSearch ?? 0)
  const beside = highestRate([price.reasoning, price.citation], inputTokens)
  const tokenPicos =
    inputTokens * highest + audioTokens * beyondText + outputTokens * output + uses.besideTokens * beside
  const picos = tokenPicos + uses.searches * search + (price.request ?? 0)
  if (uses.terms.length === 0 && isExactSum(picos)) return nanosOf(picos)
  const { times, per } = highestFactor(price, uses.terms)
  const tokens =
    BigInt(inputTokens) * BigInt(highest) +
    BigInt(audioTokens) * BigInt(beyondText) +
    BigInt(outputTokens) * BigInt(output) +
    BigInt(uses.besideTokens) * BigInt(beside)
  const each = BigInt(uses.searches) * BigInt(search) + BigInt(price.request ?? 0)
  return roundUp(tokens * times + each * per, 1000n * per)
}

/** Returns how many output tokens `money` pays for after the input; never negative. */
export function outputTokensFor(price: Price, inputTokens: number, money: Nanodollars, uses: MaxUses = PLAIN): number {
  const left = money - maxCostOf(price, inputTokens, 0, uses)
  const { times, per } = highestFactor(price, uses.terms)
  const rate = BigInt(highestOutput(price, inputTokens, uses)) * times
  if (rate === 0n || money === UNLIMITED) return Number.MAX_SAFE_INTEGER
  return left <= 0 ? 0 : Number((BigInt(left) * 1000n * per) / rate)
}

const highestOutput = (price: Price, inputTokens: number, { audioOutput }: MaxUses): number =>
  highestRate([price.output, price.imageOutput, audioOutput ? price.audioOutput : undefined], inputTokens)

/** Picodollars for a search without a price: the highest published one. */
const UNPRICED_USE = 25_000_000_000

type Line<R = number> = [count: number, rate: R, name: string]

/** Usage in tokens: the usual kinds always, others only if used. */
function tokenLines(price: Price, usage: Usage): Line[] {
  const { input, cachedInput, cacheWrite, cacheWriteHour, output, reasoning = 0, citation = 0 } = usage
  const unknownTokens = unknownOf(price, usage)
  const at = (rate: Rate) => rateAt(rate, input)
  const dearest = () =>
    Math.max(
      ...[price.input, price.cachedInput, price.cacheWrite, price.cacheWriteHour, price.output].map(at),
      ...[price.audioInput, price.audioOutput, price.imageOutput, price.reasoning, price.citation].map((rate) =>
        rate ? at(rate) : 0,
      ),
    )
  const uncached = input - cachedInput - cacheWrite - cacheWriteHour
  // Cached tokens are taken as text: audio costs more.
  const audioInput = Math.min(usage.audioInput ?? 0, uncached)
  const audioOutput = Math.min(usage.audioOutput ?? 0, output)
  // All output may be images if their share is not reported.
  const imageOutput = price.imageOutput ? Math.min(usage.imageOutput ?? output, output - audioOutput) : 0
  const cached = audioInput > 0 && price.cachedAudio ? [price.cachedInput, price.cachedAudio] : [price.cachedInput]
  const lines: Line[] = [
    [uncached - audioInput, at(price.input), 'input'],
    [cachedInput, Math.max(...cached.map(at)), 'cached_input'],
    [cacheWrite, at(price.cacheWrite), 'cache_write'],
    [cacheWriteHour, at(price.cacheWriteHour), 'cache_write_hour'],
    [output - audioOutput - imageOutput, at(price.output), 'output'],
  ]
  if (price.imageOutput && imageOutput > 0) lines.push([imageOutput, at(price.imageOutput), 'image_output'])
  if (reasoning > 0 && price.reasoning) lines.push([reasoning, at(price.reasoning), 'reasoning'])
  if (citation > 0 && price.citation) lines.push([citation, at(price.citation), 'citation'])
  if (audioInput > 0) lines.push([audioInput, price.audioInput ? at(price.audioInput) : dearest(), 'audio_input'])
  if (audioOutput > 0) lines.push([audioOutput, price.audioOutput ? at(price.audioOutput) : dearest(), 'audio_output'])
  if (unknownTokens > 0) lines.push([unknownTokens, dearest(), 'unknown_tokens'])
  return lines
}

/** Returns the tokens of the provider's total that are in no count, nor in one that is priced in addition to the others. */
const unknownOf = (price: Price, { unknownTokens = 0, reasoning = 0, citation = 0 }: Usage): number =>
  Math.max(0, unknownTokens - (price.reasoning ? reasoning : 0) - (price.citation ? citation : 0))

/** Usage in uses; rate undefined if it has no price. */
function useLines(price: Price, usage: Usage): Line<number | undefined>[] {
  const { webSearches = 0, previewSearches = 0, fileSearches = 0 } = usage
  const lines: Line<number | undefined>[] = []
  if (webSearches > 0) lines.push([webSearches, price.webSearch, 'web_search'])
  if (previewSearches > 0) lines.push([previewSearches, price.previewSearch, 'preview_search'])
  if (fileSearches > 0) lines.push([fileSearches, price.fileSearch, 'file_search'])
  if (price.request !== undefined) lines.push([1, price.request, 'request'])
  return lines
}

const termOf = ({ terms = {} }: Price, term: string): Factor =>
  Object.hasOwn(terms, term) ? terms[term]! : UNKNOWN_TERM

/** Multiplies the factors of all terms of a call. */
function factorOf(price: Price, { terms = [] }: Pick<Usage, 'terms'>): { times: bigint; per: bigint } {
  return terms
    .map((term) => termOf(price, term))
    .reduce((all, { times, per }) => ({ times: all.times * BigInt(times), per: all.per * BigInt(per) }), {
      times: 1n,
      per: 1n,
    })
}

/** A requested term may be refused and the call served on standard terms, so a discount counts only once granted. */
const highestFactor = (price: Price, terms: readonly string[]) =>
  factorOf(price, { terms: terms.filter((term) => termOf(price, term).times > termOf(price, term).per) })

/** Rounds picodollars up to the next nanodollar; a quotient of large numbers would be rounded either way. */
function nanosOf(picos: number): Nanodollars {
  const rest = picos % 1000
  return nanodollars((picos - rest) / 1000 + (rest > 0 ? 1 : 0))
}

const roundUp = (dividend: bigint, divisor: bigint): Nanodollars =>
  nanodollars(Number((dividend + divisor - 1n) / divisor))
