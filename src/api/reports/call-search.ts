/** Calls of all agents: searched, and one in full. */

import * as z from 'zod'
import { CageError } from '../../core/errors.ts'
import { callIdsFrom, toAgentId, toCallId } from '../../core/ids.ts'
import { fromUsd, type Usd } from '../../core/money.ts'
import { amount } from '../../http/body.ts'
import { type Route, routesOf, type Shape } from '../../http/route.ts'
import { instant } from '../../http/shared-shapes.ts'
import type { CallDetail, FoundCalls } from '../../state/call-view.ts'
import type { Deps } from '../deps.ts'
import { eventView } from '../views.ts'
import { callView, shownCall } from './calls.ts'
import { streamCsv } from './calls-csv.ts'

const CURSOR = /^(call-[\w-]+):(\d+(?:\.\d+)?)$/

export const CALL_SEARCH = z.strictObject({
  agent_id: z.string().transform(toAgentId).optional(),
  kind: z.enum(['llm', 'service', 'reported', 'correction']).optional(),
  target: z.string().optional().describe('Provider or service.'),
  model: z.string().optional(),
  outcome: z
    .enum(['answered', 'failed', 'running', 'unresolved'])
    .optional()
    .describe('failed: ended with an error; unresolved: left open by a killed server.'),
  unit: z.string().optional().describe('The unit of work it belongs to, such as "lead 67".'),
  min_cost_usd: amount.optional(),
  max_cost_usd: amount.optional(),
  from: instant.optional().describe('Started at this time or later.'),
  to: instant.optional().describe('Started before this time.'),
  sort: z.enum(['newest', 'oldest', 'cost']).default('newest').describe('cost: the highest first.'),
  after: z.string().regex(CURSOR).optional().describe('The `next` of the previous page.'),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
  format: z.enum(['json', 'csv']).default('json').describe('csv: all pages.'),
})

function searchOf({
  agent_id: agentId,
  min_cost_usd: minCost,
  max_cost_usd: maxCost,
  from,
  to,
  after,
  ...query
}: Omit<z.infer<typeof CALL_SEARCH>, 'format'>) {
  const [, id, cost] = (after && CURSOR.exec(after)) || []
  return {
    ...query,
    agentId,
    minCost,
    maxCost,
    ...(from && { from: callIdsFrom(Date.parse(from)) }),
    ...(to && { to: callIdsFrom(Date.parse(to)) }),
    ...(id && cost && { after: { id: toCallId(id), cost: fromUsd(cost as Usd) } }),
  }
}

const route = routesOf('Calls')

export const callSearchRoutes = ({ store: { callSearch, contents, events } }: Pick<Deps, 'store'>): Route[] => [
  route('GET /api/calls', {
    role: 'viewer',
    summary: 'Searches the calls of all agents.',
    query: CALL_SEARCH,
    reply: () =>
      z.object({
        calls: z.array(callView()),
        next: z.string().nullable().describe('The `after` of the next page; null when this is the last one.'),
      } satisfies Shape<FoundCalls>),
    types: ['text/csv'],
    handle: async ({ context, query: { format, ...query } }) => {
      const search = searchOf(query)
      if (format === 'csv') {
        return streamCsv(context, 'calls', (last, limit) =>
          callSearch.find({ ...search, ...(last && { after: { id: last.id, cost: last.cost_nanos } }), limit }),
        )
      }
      const found = (await callSearch.find(search)).map(shownCall)
      const last = found.length === search.limit ? found.at(-1) : undefined
      return { calls: found, next: last ? `${last.id}:${last.cost_usd}` : null }
    },
  }),
  route('GET /api/calls/:id', {
    role: 'viewer',
    summary: 'Returns one call with what was recorded about it.',
    reply: () =>
      z.object({
        call: callView(),
        has_content: z.boolean().describe('What it said is kept, for admins: GET /api/calls/{id}/content.'),
        corrections: z.array(callView()).describe('Rows that corrected its cost, newest first.'),
        events: z.array(eventView()).describe('Its events, oldest first; events are kept for a week.'),
      } satisfies Shape<CallDetail>),
    errors: ['not_found'],
    handle: async ({ params }) => {
      const known = callSearch.get(toCallId(params.id))
      if (!known) {
        throw new CageError('not_found', `there is no call "${params.id}"`, {
          hint: 'list them with "iron-cage calls"',
        })
      }
      const { call, corrections } = known
      return {
        call: shownCall(call),
        has_content: contents.has(call.id),
        corrections: corrections.map(shownCall),
        events: await events.ofCall(call),
      }
    },
  }),
]
