import * as z from 'zod'
import { everyPrice, type Priced, sourceOf, usdPerMillion } from '../budget/every-price.ts'
import { count, type Route, routesOf } from '../http/route.ts'
import type { Deps } from './deps.ts'

export const priceRoutes = ({ config, state, money }: Pick<Deps, 'config' | 'state' | 'money'>): Route[] => {
  let all: Promise<Priced[]> | undefined
  return [
    routesOf('Models')('GET /api/prices', {
      role: 'viewer',
      summary:
        'Lists the prices that calls are charged with, in US dollars per million tokens, and where each is from.',
      query: z.strictObject({
        search: z.string().default('').describe('Only models with this text in their names.'),
        limit: z.coerce.number().int().min(1).max(1000).default(100),
      }),
      reply: () =>
        z.object({
          prices: z.array(
            z.object({
              provider: z.string(),
              model: z.string(),
              input_per_mtok: z.string(),
              output_per_mtok: z.string(),
              source: z.string(),
            }),
          ),
          total: count().describe('Number of matching models.'),
          list: z
            .object({
              name: z.string(),
              date: z.string().describe('Day of its publication.'),
              age_days: z.number().int().describe('Its age in days.'),
              unknown: z.enum(['refuse', 'dearest']).describe('What happens to calls of models without a price.'),
            })
            .describe('The public price list in use.'),
        }),
      handle: async ({ query: { search, limit } }) => {
        all ??= everyPrice(Object.keys(config.providers), config, state, money.prices.list)
        const found = (await all).filter(({ model }) => model.includes(search.toLowerCase()))
        const prices = found.slice(0, limit).map(({ provider, model, price }) => ({
          provider,
          model,
          input_per_mtok: usdPerMillion(price.input.base),
          output_per_mtok: usdPerMillion(price.output.base),
          source: sourceOf(price),
        }))
        const { list } = money.prices
        const about = { name: list.name, date: list.date, age_days: list.ageDays(state.now()) }
        return { prices, total: found.length, list: { ...about, unknown: config.price_list.unknown } }
      },
    }),
  ]
}
