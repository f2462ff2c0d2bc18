/**
 * Prices of the configuration that are far from the list's: mostly a price per thousand tokens or in cents, and then a
 * budget that lasts twenty times too long, or not at all. Who means it says `confirm: true` beside the price.
 */
import { InvalidConfigError, type Key, keyText, type Problem } from '../config/problems.ts'
import type { Config } from '../config/schema.ts'
import type { Price } from './price.ts'
import { listed } from './price-list.ts'
import { meantBy, type PriceConfig } from './prices.ts'

/** A price may be so many times above or below the list's. */
const MAX_FACTOR = 20

type Override = Config['prices'][string]

/** What the list calls each price of the configuration. */
const RATES = [
  ['input_per_mtok', 'input'],
  ['cached_input_per_mtok', 'cachedInput'],
  ['cache_write_per_mtok', 'cacheWrite'],
  ['cache_write_1h_per_mtok', 'cacheWriteHour'],
  ['output_per_mtok', 'output'],
  ['audio_input_per_mtok', 'audioInput'],
  ['audio_output_per_mtok', 'audioOutput'],
] as const satisfies readonly (readonly [keyof Override, keyof Price])[]

/** Throws InvalidConfigError naming every price that jumps. `placeOf`: where a key was given, e.g. "iron-cage.yaml:7". */
export async function requirePlausiblePrices(
  config: PriceConfig,
  placeOf: (key: string) => string,
  atMs: number,
): Promise<void> {
  const problems: Problem[] = []
  for (const [name, override] of Object.entries(config.prices)) {
    const price = override.confirm ? undefined : await listedFor(meantBy(config, name), atMs)
    if (!price) continue
    for (const [kind, part] of RATES) {
      const usd = override[kind]
      const list = price[part]?.base
      if (usd === undefined || !list || isNear(usd * 1_000_000, list)) continue
      const key: Key = ['prices', name, kind]
      problems.push({
        place: placeOf(keyText(key)),
        key: keyText(key),
        what: `expected at most ${MAX_FACTOR} times more or less than ${list / 1_000_000} (${price.source}), or "confirm: true" beside it, got ${usd}`,
      })
    }
  }
  if (problems.length > 0) throw new InvalidConfigError(problems)
}

const isNear = (picos: number, list: number): boolean => picos <= list * MAX_FACTOR && picos * MAX_FACTOR >= list

/** At the first of the providers that it may mean which lists it. */
async function listedFor({ providers, model }: ReturnType<typeof meantBy>, atMs: number): Promise<Price | undefined> {
  for (const provider of providers) {
    const price = await listed(provider, model, atMs)
    if (price) return price
  }
  return undefined
}
