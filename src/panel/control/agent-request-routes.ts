/** For runtimes: what their agents ask for. */

import * as z from 'zod'
import { CageError } from '../../core/errors.ts'
import { amount } from '../../http/body.ts'
import type { Route } from '../../http/route.ts'
import { agentRequestView } from '../../http/shared-shapes.ts'
import type { PanelRole } from '../access/credentials.ts'
import type { Fleet } from '../bank/budgets.ts'
import { panelRoutesOf } from '../panel-route.ts'

const route = panelRoutesOf('Control')

/** As runtimes have them. */
const agent = z.string().min(1).max(200)

export const agentRequestRoutes = ({ fleet: { agentRequests } }: { fleet: Fleet }): Route<PanelRole>[] => [
  route('POST /api/control/requests', {
    role: 'runtime',
    summary:
      'An agent of the runtime asks for more of the budget that has the least left of those that pay for its calls. What is asked for again while it waits is answered with the request that waits.',
    body: z.strictObject({
      agent: agent.describe('Its name.'),
      token: agent.nullable().default(null).describe('Of the API token that it calls with; null for none.'),
      add_usd: amount,
      reason: z.string().min(1).max(500),
    }),
    reply: () => agentRequestView(),
    errors: ['conflict', 'invalid_amount', 'runtime_revoked'],
    handle: ({ body: { agent: name, token, add_usd: more, reason }, identity }) => {
      if (more <= 0) throw new CageError('invalid_amount', 'nothing more cannot be asked for')
      return agentRequests.ask(identity, { names: { agent: name, token }, amount: more, reason })
    },
  }),
  route('GET /api/control/requests/:id', {
    role: 'runtime',
    summary: 'Returns a request of an agent of the runtime.',
    query: z.strictObject({ agent }),
    reply: () => agentRequestView(),
    errors: ['not_found'],
    handle: ({ params, query, identity }) => agentRequests.find(identity, query.agent, params.id),
  }),
]
