import { everyPrice, type Priced, sourceOf, usdPerMillion } from '../../budget/every-price.ts'
import type { Price } from '../../budget/price.ts'
import { type PriceConfig, Prices } from '../../budget/prices.ts'
import type { Rate } from '../../budget/rate.ts'
import { systemClock } from '../../clock.ts'
import { nearest } from '../../config/problems.ts'
import { CageError, PriceUnknownError } from '../../errors.ts'
import { nanodollars, toUsd, type Usd } from '../../money.ts'
import { showCount } from '../../units.ts'
import { type CliCommand, examples } from '../command.ts'
import { commandWithConfig, loadFlags } from '../flags.ts'
import { json, printTable, tree } from '../print.ts'
import type { Terminal } from '../terminal.ts'

export const pricesCommand: CliCommand = (terminal) =>
  commandWithConfig('prices')
    .description('Show what models cost here, in US dollars per million tokens, and the source of each price')
    .argument('[model]', 'Its name, as in a call (default: every model)')
    .option('--provider <name>', 'Of this provider only (default: of every configured provider)')
    .option('--search <text>', 'Only models with this text in their names')
    .option('--json', 'Print JSON')
    .addHelpText(
      'after',
      examples(
        ['prices gpt-4o', 'one model with all its prices'],
        ['prices --search sonnet', 'models with "sonnet" in their names'],
      ),
    )
    .action(async (model, { provider, search, json: asJson, ...flags }) => {
      const { config } = loadFlags(flags, terminal)
      const providers = provider === undefined ? Object.keys(config.providers) : [provider]
      const all = await everyPrice(providers, config, systemClock)
      if (model === undefined) return showMatching(all, search, asJson, terminal)
      const found = await findPrice(providers, model, config)
      if (!found) throw unknownModel(model, providers, all)
      if (asJson) return terminal.out(json(asData(found)))
      const title = `${found.model} of ${found.provider}, US dollars per million tokens`
      tree(title, asLines(found.price)).forEach(terminal.out)
    })

function showMatching(all: readonly Priced[], search = '', asJson: boolean | undefined, terminal: Terminal): void {
  const found = all.filter((priced) => priced.model.includes(search.toLowerCase()))
  if (found.length === 0) throw nothingFound(`no model with "${search}" in its name has a price`)
  if (asJson) return terminal.out(json(found.map(asData)))
  printTable([HEADINGS, ...found.map(asRow)], terminal)
}

function unknownModel(model: string, providers: readonly string[], all: readonly Priced[]): CageError {
  const names = all.map((priced) => priced.model)
  const near = nearest(model, names) ?? names.find((name) => name.startsWith(model))
  return nothingFound(new PriceUnknownError(providers.join(' or '), model).message, near)
}

async function findPrice(
  providers: readonly string[],
  model: string,
  config: PriceConfig,
): Promise<Priced | undefined> {
  const prices = new Prices(config, systemClock)
  for (const provider of providers) {
    const price = await prices.get(provider, model).catch((error: unknown) => {
      if (error instanceof PriceUnknownError) return undefined
      throw error
    })
    if (price) return { provider, model, price }
  }
  return undefined
}

const nothingFound = (message: string, near?: string): CageError =>
  new CageError('price_unknown', message.replace(', so the call was not sent', ''), {
    hint: `${near === undefined ? '' : `did you mean ${near}? `}list what has one with "iron-cage prices", or add it under "prices" in the configuration`,
  })

const HEADINGS = ['MODEL', 'PROVIDER', 'INPUT', 'CACHED', 'OUTPUT', 'SOURCE']

const asRow = ({ provider, model, price }: Priced): string[] => [
  model,
  provider,
  usdPerMillion(price.input.base),
  usdPerMillion(price.cachedInput.base),
  usdPerMillion(price.output.base),
  sourceOf(price),
]

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
function asLines(price: Price): [name: string, value: string][] {
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
const asData = ({ provider, model, price }: Priced): object => ({
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
