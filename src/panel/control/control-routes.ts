/** Control of agents on other machines: the orders of admins, and their way to runtimes. */

import * as z from 'zod'
import { isoTime } from '../../core/clock.ts'
import { CageError } from '../../core/errors.ts'
import { count, named, type Route, type Shape, time } from '../../http/route.ts'
import type { Order, PolicyState } from '../../protocol/control-messages.ts'
import type { PanelRole } from '../access/credentials.ts'
import type { OrderView } from '../fleet-view.ts'
import { panelRoutesOf } from '../panel-route.ts'
import type { PanelTelemetry } from '../telemetry/telemetry.ts'
import type { Control } from './control.ts'
import type { Orders, StoredOrder } from './orders.ts'
import { policySettings } from './policy-routes.ts'

const fleetRoute = panelRoutesOf('Fleet')
const controlRoute = panelRoutesOf('Control')

const action = z.enum(['stop', 'pause', 'resume'])

export const orderView = named('Order', () =>
  z.object({
    id: z.string(),
    action,
    by: z.string(),
    at: time(),
    state: z
      .enum(['pending', 'done', 'failed'])
      .describe('`pending`: the runtime has not answered; it does when it is connected again.'),
    message: z.string().nullable().describe('What the runtime answered.'),
  } satisfies Shape<OrderView>),
)

export const orderViewOf = ({ id, action: what, ordered_by, ordered_at, state, message }: StoredOrder): OrderView => ({
  ...{ id, action: what, by: ordered_by, at: isoTime(ordered_at), message },
  state: state === 'replaced' ? 'failed' : state,
})

const ENDED = new Set(['completed', 'stopped', 'failed', 'crash_loop', 'budget_stopped', 'blocked'])

export const controlRoutes = ({
  orders,
  control,
  telemetry,
}: {
  orders: Orders
  control: Control
  telemetry: PanelTelemetry
}): Route<PanelRole>[] => [
  fleetRoute('POST /api/fleet/runtimes/:id/orders', {
    role: 'admin',
    summary:
      'Stops, pauses or resumes an agent of a runtime. The order waits until the runtime has answered it; a new one to the same agent replaces it.',
    body: z.strictObject({ agent_id: z.string().min(1).max(200), action }),
    reply: () => orderView(),
    statuses: [201],
    errors: ['not_found', 'conflict', 'agent_not_running'],
    handle: async ({ params, body: { agent_id: agentId, action: what }, identity }) => {
      const known = (await telemetry.states(identity.organizationId)).get(params.id)?.snapshot.agents ?? {}
      if (!Object.hasOwn(known, agentId)) throw unknownAgent(agentId)
      const { state } = known[agentId]!
      if (ENDED.has(state)) {
        throw new CageError('agent_not_running', `${agentId} has ended: ${state}`, { facts: { agent_id: agentId } })
      }
      return orderViewOf(await orders.create(identity, { runtimeId: params.id, agentId, action: what }))
    },
  }),
  controlRoute('GET /api/control', {
    role: 'runtime',
    summary:
      'Returns what the panel asks of the runtime, when it is another state than `known`; otherwise waits for a change, some 20 seconds at most.',
    query: z.strictObject({ known: z.string().max(64).optional() }),
    reply: () =>
      z.object({
        revision: z.string().describe('Of this state, for `known`.'),
        orders: z.array(
          z.object({ id: z.string(), agent_id: z.string(), action, by: z.string() } satisfies Shape<Order>),
        ),
        limits: z.string().describe('Differs after each change of a limit of its budgets.'),
        secrets: z.string().describe('Differs after each change of the secrets that it may have.'),
        policy: z
          .object({
            revision: count(),
            settings: policySettings().nullable(),
            environments: z
              .record(z.string(), policySettings())
              .describe('What holds in addition, by environment: of those whose secrets the runtime may have.'),
          } satisfies Shape<PolicyState>)
          .nullable()
          .describe('Of the organization, by section, as in a configuration file; null until it has one.'),
      }),
    errors: ['runtime_revoked'],
    handle: ({ query, identity, context }) => control.next(identity, query.known, context.req.raw.signal),
  }),
  controlRoute('POST /api/control/orders/:id', {
    role: 'runtime',
    summary: 'Says what the runtime did with an order.',
    body: z.strictObject({ ok: z.boolean(), message: z.string().max(500) }),
    reply: null,
    errors: ['not_found', 'runtime_revoked'],
    handle: ({ params, body, identity }) => orders.answer(identity, params.id, body),
  }),
]

const unknownAgent = (id: string): CageError =>
  new CageError('not_found', `no agent "${id}" is known of this runtime`, { hint: 'GET /api/fleet lists the agents' })
