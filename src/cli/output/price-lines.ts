/** How a model's price is shown in full: to people as named lines, to programs as amounts. */
import { type Priced, sourceOf, usdPerMillion } from '../../budget/every-price.ts'
import type { Price } from '../../budget/price.ts'
import type { Rate } from '../../budget/rate.ts'
import { nanodollars, toUsd, type Usd } from '../../core/money.ts'
import { showCount } from '../../core/units.ts'

const RATES = [
  ['input', 'input'],
  ['cached_input', 'cachedInput'],
  ['cache_write', 'cacheWrite'],
  ['cache_write_hour', 'cacheWriteHour'],
  ['output', 'output'],
  ['audio_input', 'audioInput'],
  ['audio_output', 'audioOutput'],
  ['image_output', 'imageOutput'],
  ['reasoning', 'reasoning'],
  ['citation', 'citation'],
] as const satisfies readonly (readonly [string, keyof Price])[]

const USES = [
  ['web_search', 'webSearch'],
  ['preview_search', 'previewSearch'],
  ['file_search', 'fileSearch'],
  ['call', 'request'],
] as const satisfies readonly (readonly [string, keyof Price])[]

/** For people: each price with its steps, each use, each service tier. */
export function priceLines(price: Price): [name: string, value: string][] {
  return [
    ...RATES.flatMap(([name, part]): [string, string][] => {
      const rate = price[part]
      return rate ? [[name.replaceAll('_', ' '), rateText(rate)]] : []
    }),
    ...USES.flatMap(([name, part]): [string, string][] => {
      const picos = price[part]
      const isDuplicate = part === 'previewSearch' && picos === price.webSearch
      return picos === undefined || isDuplicate ? [] : [[name.replaceAll('_', ' '), `${usdPerUse(picos)} each`]]
    }),
    ...Object.entries(price.terms ?? {}).map(([term, { times, per, isEstimate }]): [string, string] => [
      term,
      `× ${per === 1 ? times : `${times}/${per}`}${isEstimate ? ' (not published: charged as an estimate)' : ''}`,
    ]),
    ['context', price.contextWindow === null ? 'not known' : `${showCount(price.contextWindow)} tokens`],
    ['source', sourceOf(price)],
  ]
}

/** For programs: amounts as decimal strings. */
export const priceData = ({ provider, model, price }: Priced): object => ({
  provider,
  model,
  usd_per_million_tokens: Object.fromEntries(
    RATES.flatMap(([name, part]) => {
      const rate = price[part]
      return rate ? [[name, { base: usdPerMillion(rate.base), above: rate.tiers.map(stepData) }]] : []
    }),
  ),
  usd_per_use: Object.fromEntries(
    USES.flatMap(([name, part]) => {
      const picos = price[part]
      return picos === undefined ? [] : [[name, usdPerUse(picos)]]
    }),
  ),
  factors: price.terms ?? {},
  context_window: price.contextWindow,
  source: price.source,
  date: price.date ?? null,
})

const stepData = ({ start, rate }: Rate['tiers'][number]): object => ({ input_tokens: start, usd: usdPerMillion(rate) })

const rateText = ({ base, tiers }: Rate): string =>
  [
    usdPerMillion(base),
    ...tiers.map(({ start, rate }) => `${usdPerMillion(rate)} above ${showCount(start)} tokens of input`),
  ].join(', ')

const usdPerUse = (picos: number): Usd => toUsd(nanodollars(Math.ceil(picos / 1_000)))
