/** For people: asking for more of a budget, and deciding on it. */

import * as z from 'zod'
import { isoTime } from '../../core/clock.ts'
import { CageError } from '../../core/errors.ts'
import { toUsd } from '../../core/money.ts'
import { amount, check } from '../../http/body.ts'
import { named, type Route, type Shape, time, usd } from '../../http/route.ts'
import type { PanelRole } from '../access/credentials.ts'
import { SHARED_SCOPES } from '../bank/bank.ts'
import type { Fleet } from '../bank/budgets.ts'
import { nameFor } from '../fleet-routes.ts'
import type { RequestView } from '../fleet-view.ts'
import { panelRoutesOf } from '../panel-route.ts'
import type { StoredRequest } from './requests.ts'

const requestRoute = panelRoutesOf('Fleet')

const requestView = named('BudgetRequest', () =>
  z.object({
    id: z.string(),
    scope: z.enum(SHARED_SCOPES),
    name: z.string(),
    add_usd: usd(),
    reason: z.string(),
    asked_by: z.string(),
    asked_at: time(),
    state: z.enum(['pending', 'approved', 'rejected']),
    decided_by: z.string().nullable(),
    decided_at: time().nullable(),
    decision: z.string().nullable().describe('The reason of who decided.'),
  } satisfies Shape<RequestView>),
)

const text = z.string().min(1).max(500)

export const requestRoutes = ({ fleet: { requests } }: { fleet: Fleet }): Route<PanelRole>[] => [
  requestRoute('GET /api/fleet/requests', {
    role: 'viewer',
    summary: 'Lists requests for more of a budget: those that wait, then the last decided ones.',
    reply: () => z.object({ requests: z.array(requestView()) }),
    handle: async ({ identity }) => ({ requests: (await requests.list(identity.organizationId)).map(viewOf) }),
  }),
  requestRoute('POST /api/fleet/requests', {
    role: 'viewer',
    summary: 'Asks for more of a budget. `name`: whose it is; null for the organization.',
    body: z.strictObject({
      scope: z.enum(SHARED_SCOPES),
      name: z.string().nullable().default(null),
      add_usd: amount,
      reason: text,
    }),
    reply: () => requestView(),
    statuses: [201],
    errors: ['not_found', 'conflict', 'invalid_amount'],
    handle: async ({ body: { scope, name, add_usd: more, reason }, identity }) => {
      if (more <= 0) throw new CageError('invalid_amount', 'nothing more cannot be asked for')
      const whose = { scope, name: scope === 'organization' ? null : check(nameFor(scope), name, 'the name') }
      return viewOf(await requests.create(identity, whose, more, reason))
    },
  }),
  ...(['approve', 'reject'] as const).map((verb) =>
    requestRoute(`POST /api/fleet/requests/:id/${verb}`, {
      role: 'viewer',
      summary:
        verb === 'approve'
          ? "Approves a request of somebody else, which raises the limit. For admins, and leads of a team for its people's own budgets."
          : 'Rejects a request of somebody else, likewise.',
      body: z.strictObject({ reason: text }),
      reply: null,
      errors: ['not_found', 'conflict', 'forbidden', 'invalid_amount'],
      handle: ({ params, body, identity }) =>
        requests.decide(identity, params.id, verb === 'approve' ? 'approved' : 'rejected', body.reason),
    }),
  ),
]

const viewOf = (row: StoredRequest): RequestView => ({
  id: row.id,
  scope: row.scope,
  name: row.name,
  add_usd: toUsd(row.amount_nanos),
  reason: row.reason,
  asked_by: row.asked_by,
  asked_at: isoTime(row.asked_at),
  state: row.state,
  decided_by: row.decided_by,
  decided_at: row.decided_at === null ? null : isoTime(row.decided_at),
  decision: row.decision,
})
