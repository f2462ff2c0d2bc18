/** All known prices, for lists of them. */
import type { Clock } from '../core/clock.ts'
import { nanodollars, toUsd, type Usd } from '../core/money.ts'
import { vendorOf } from '../dialects/known-providers.ts'
import type { Price } from './price.ts'
import type { PriceList } from './price-list.ts'
import { fromConfig, isMatch, meantBy, type PriceConfig } from './prices.ts'

export interface Priced {
  provider: string
  model: string
  price: Price
}

/** The models of `list`, with the prices of the configuration replacing theirs. */
export async function everyPrice(
  providers: readonly string[],
  config: PriceConfig,
  clock: Pick<Clock, 'now'>,
  list: PriceList,
): Promise<Priced[]> {
  const vendor = (provider: string) => vendorOf(provider, config.providers[provider]?.base_url)
  const listed = await Promise.all(
    providers.map(async (provider) =>
      (await list.models(vendor(provider), clock.now())).map((one) => ({ ...one, provider })),
    ),
  )
  const own = Object.entries(config.prices).flatMap(([key, override]) => {
    const { providers: meant, model } = meantBy(config, key)
    const asked = meant.filter((provider) => providers.includes(provider))
    return asked.length === 0 ? [] : [{ asked, model, price: fromConfig(override, vendor(asked[0]!), model) }]
  })
  const isOverridden = ({ provider, model }: Priced) =>
    own.some((one) => isMatch(one.model, model) && one.asked.includes(provider))
  return [
    ...own.map(({ asked, model, price }) => ({ provider: asked.join(', '), model, price })),
    ...listed.flat().filter((one) => !isOverridden(one)),
  ]
}

export const sourceOf = ({ source, date }: Price): string => (date ? `${source}, in force on ${date}` : source)

/** A picodollar a token is a thousand nanodollars a million. */
export const usdPerMillion = (picos: number): Usd => toUsd(nanodollars(picos * 1_000))
