/** The ledger's rows: lists them, corrects charges, resolves calls that a killed server left open. */

import * as z from 'zod'
import { toAgentId, toCallId } from '../../core/ids.ts'
import { toUsd } from '../../core/money.ts'
import type { CallRow } from '../../db/tables/calls.ts'
import { amount } from '../../http/body.ts'
import { json, named, type Route, routesOf, type Shape, time, usd } from '../../http/route.ts'
import { instant } from '../../http/shared-shapes.ts'
import type { ShownCall } from '../../state/call-view.ts'
import { agentStatus, getAgent, loadedAgentId, statusOf } from '../agents.ts'
import type { Deps } from '../deps.ts'

export const shownCall = ({ held_nanos, cost_nanos, lease_id: _own, ...row }: CallRow): ShownCall => ({
  ...row,
  held_usd: toUsd(held_nanos),
  cost_usd: toUsd(cost_nanos),
})

export const callView = named('Call', () =>
  z.object({
    agent_id: z.string(),
    id: z.string(),
    run_id: z.string().nullable(),
    kind: z.enum(['llm', 'service', 'reported', 'correction']),
    target: z.string().describe('Provider or service.'),
    model: z.string().nullable(),
    state: z.enum(['held', 'charged', 'released', 'unresolved']),
    held_usd: usd(),
    cost_usd: usd(),
    estimated: z.boolean(),
    price: json().describe('The price of a token, and the price list it is from.'),
    usage: json(),
    status: z.int().nullable().describe('HTTP status.'),
    code: z.string().nullable(),
    started_at: time(),
    ended_at: time().nullable(),
    corrects: z.string().nullable().describe('The call that a correction corrects.'),
    reason: z.string().nullable(),
    unit: z.string().nullable().describe('The unit of work in progress when it started, such as "lead 67".'),
  } satisfies Shape<ShownCall>),
)

const route = routesOf('Calls')

export function callRoutes(deps: Pick<Deps, 'state' | 'store' | 'money' | 'safety'>): Route[] {
  const { state, store, money, safety } = deps
  return [
    route('GET /api/agents/:id/calls', {
      role: 'viewer',
      summary: "Lists an agent's calls, newest first.",
      query: CALLS,
      reply: () =>
        z.object({ calls: z.array(callView()).describe('The id of the last one is the `before` of the next page.') }),
      errors: ['not_found'],
      handle: async ({ params, query }) => {
        const { id } = getAgent(state, toAgentId(params.id))
        return { calls: (await store.calls.find({ agentId: id, ...query })).map(shownCall) }
      },
    }),
    route('POST /api/agents/:id/calls/:call/correct', {
      role: 'admin',
      summary: 'Corrects the cost of a call with an additional row.',
      body: CORRECTION,
      reply: () => agentStatus().extend({ correction_id: z.string().describe('Id of the row.') }),
      errors: ['not_found', 'conflict'],
      handle: async ({ context, params, body: { cost_usd: cost, reason }, identity }) => {
        const agentId = await loadedAgentId(deps, context)
        const correction_id = money.ledger.correct({
          agentId,
          callId: toCallId(params.call),
          cost,
          reason: safety.logs.clean(reason),
          by: identity.name,
        })
        return { ...statusOf(deps, agentId), correction_id }
      },
    }),
    route('POST /api/agents/:id/calls/:call/resolve', {
      role: 'admin',
      summary: 'Resolves a call that a killed server left open.',
      body: RESOLUTION,
      reply: agentStatus,
      errors: ['not_found', 'conflict'],
      handle: async ({ context, params, body, identity }) => {
        const agentId = await loadedAgentId(deps, context)
        money.ledger.resolve({
          agentId,
          callId: toCallId(params.call),
          cost: body.outcome === 'released' ? null : body.cost_usd,
          by: identity.name,
        })
        return statusOf(deps, agentId)
      },
    }),
  ]
}

/** The query parameters. */
const CALLS = z.strictObject({
  state: z.enum(['held', 'charged', 'released', 'unresolved']).optional(),
  kind: z.enum(['llm', 'service', 'reported', 'correction']).optional(),
  from: instant.optional(),
  to: instant.optional(),
  before: z.string().transform(toCallId).optional().describe('Id of a call.'),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
})

const CORRECTION = z.strictObject({ cost_usd: amount, reason: z.string().trim().min(1).max(500) })

const RESOLUTION = z.discriminatedUnion('outcome', [
  z.strictObject({ outcome: z.literal('charged'), cost_usd: amount.optional() }),
  z.strictObject({ outcome: z.literal('released') }),
])
