import { everyPrice, type Priced, sourceOf, usdPerMillion } from '../../../budget/every-price.ts'
import { openPriceList } from '../../../budget/pinned-list.ts'
import type { PriceList } from '../../../budget/price-list.ts'
import { Prices } from '../../../budget/prices.ts'
import { nearest } from '../../../config/problems.ts'
import { systemClock } from '../../../core/clock.ts'
import { CageError, PriceUnknownError } from '../../../core/errors.ts'
import { showNumberOf } from '../../../core/units.ts'
import { type CliCommand, command } from '../../command.ts'
import { priceData, priceLines } from '../../output/price-lines.ts'
import { json, printTable, tree } from '../../output/print.ts'
import type { Terminal } from '../../output/terminal.ts'
import { withConfig } from '../../settings/flags.ts'
import { readConfig } from '../../settings/read-config.ts'

export const listPricesCommand: CliCommand = (terminal) =>
  command({
    command: 'list [model]',
    describe: 'Show what models cost here, in US dollars per million tokens, and the source of each price',
    builder: (yargs) =>
      withConfig(yargs)
        .positional('model', { type: 'string', describe: 'Its name, as in a call (default: every model)' })
        .option('provider', {
          type: 'string',
          requiresArg: true,
          describe: 'Of this provider only (default: of every configured provider)',
        })
        .option('search', { type: 'string', requiresArg: true, describe: 'Only models with this text in their names' })
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([
          ['$0 prices list gpt-4o', 'one model with all its prices'],
          ['$0 prices list --search sonnet', 'models with "sonnet" in their names'],
        ]),
    handler: async ({ model, provider, search, json: asJson, ...flags }) => {
      const { config } = await readConfig(flags, terminal)
      const providers = provider === undefined ? Object.keys(config.providers) : [provider]
      const list = openPriceList(config.price_list)
      const all = await everyPrice(providers, config, systemClock, list)
      if (model === undefined) return showMatching({ all, list }, search, asJson, terminal)
      const found = await findPrice(providers, model, new Prices(config, systemClock, list))
      if (!found) throw unknownModel(model, providers, all)
      if (asJson) return terminal.out(json(priceData(found)))
      const title = `${found.model} of ${found.provider}, US dollars per million tokens`
      tree(title, priceLines(found.price)).forEach(terminal.out)
    },
  })

function showMatching(
  { all, list }: { all: readonly Priced[]; list: PriceList },
  search = '',
  asJson: boolean | undefined,
  terminal: Terminal,
): void {
  const found = all.filter((priced) => priced.model.includes(search.toLowerCase()))
  if (found.length === 0) throw nothingFound(`no model with "${search}" in its name has a price`)
  if (asJson) return terminal.out(json(found.map(priceData)))
  printTable([HEADINGS, ...found.map(asRow)], terminal)
  terminal.err(
    `${list.name}, ${showNumberOf(list.ageDays(systemClock.now()), 'day')} old; "iron-cage prices update" gets a newer list`,
  )
}

function unknownModel(model: string, providers: readonly string[], all: readonly Priced[]): CageError {
  const names = all.map((priced) => priced.model)
  const near = nearest(model, names) ?? names.find((name) => name.startsWith(model))
  return nothingFound(new PriceUnknownError(providers.join(' or '), model).message, near)
}

async function findPrice(providers: readonly string[], model: string, prices: Prices): Promise<Priced | undefined> {
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
    hint: `${near === undefined ? '' : `did you mean ${near}? `}list what has one with "iron-cage prices list", or add it under "prices" in the configuration`,
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
