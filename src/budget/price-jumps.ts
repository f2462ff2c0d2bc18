/**
 * Configured prices far from the public list: mostly a price per thousand tokens or in cents, which makes a budget last
 * twenty times too long, or not at all. `confirm: true` next to the price accepts it.
 */
import { InvalidConfigError, type Key, keyText, type Problem } from '../config/problems.ts'
import type { Config } from '../config/schema.ts'
import { vendorOf } from '../dialects/known-providers.ts'
import type { Price } from './price.ts'
import type { PriceList } from './price-list.ts'
import { isMatch, meantBy, type PriceConfig } from './prices.ts'

/** Maximum factor between a price and the list's. */
const MAX_FACTOR = 20

type Override = Config['prices'][string]

/** The list's names of the configured prices. */
const RATES = [
  ['input_per_mtok', 'input'],
  ['cached_input_per_mtok', 'cachedInput'],
  ['cache_write_per_mtok', 'cacheWrite'],
  ['cache_write_1h_per_mtok', 'cacheWriteHour'],
  ['output_per_mtok', 'output'],
  ['audio_input_per_mtok', 'audioInput'],
  ['audio_output_per_mtok', 'audioOutput'],
] as const satisfies readonly (readonly [keyof Override, keyof Price])[]

/** Throws InvalidConfigError naming every such price. `placeOf`: where a key was given, e.g. "iron-cage.yaml:7". */
export async function requirePlausiblePrices(
  config: PriceConfig,
  placeOf: (key: string) => string,
  { list, atMs }: { list: PriceList; atMs: number },
): Promise<void> {
  const problems: Problem[] = []
  for (const [name, override] of Object.entries(config.prices)) {
    const prices = override.confirm ? [] : await listedFor(config, meantBy(config, name), list, atMs)
    for (const [kind, part] of RATES) {
      const usd = override[kind]
      const [first, ...others] = prices.flatMap((price) => price[part]?.base || [])
      if (usd === undefined || !first || [first, ...others].some((rate) => isNear(usd * 1_000_000, rate))) continue
      const key: Key = ['prices', name, kind]
      problems.push({
        place: placeOf(keyText(key)),
        key: keyText(key),
        what: `expected at most ${MAX_FACTOR} times more or less than ${first / 1_000_000} (${list.name}), or "confirm: true" beside it, got ${usd}`,
      })
    }
  }
  if (problems.length > 0) throw new InvalidConfigError(problems)
}

const isNear = (picos: number, list: number): boolean => picos <= list * MAX_FACTOR && picos * MAX_FACTOR >= list

/**
 * Returns the price at the first provider that the key may mean and that lists the model; with a wildcard the prices of
 * all models that it means, of which one must be near.
 */
async function listedFor(
  config: PriceConfig,
  { providers, model }: ReturnType<typeof meantBy>,
  list: PriceList,
  atMs: number,
): Promise<Price[]> {
  for (const provider of providers) {
    const vendor = vendorOf(provider, config.providers[provider]?.base_url)
    const found = model.includes('*')
      ? (await list.models(vendor, atMs)).flatMap((one) => (isMatch(model, one.model) ? one.price : []))
      : [await list.price(vendor, model, atMs)]
    const prices = found.filter((price) => price !== undefined)
    if (prices.length > 0) return prices
  }
  return []
}
