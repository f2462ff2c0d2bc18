/** An agent asks for more of a budget, and reads what became of it. A person decides. */

import * as z from 'zod'
import { CageError } from '../../core/errors.ts'
import type { AgentId } from '../../core/ids.ts'
import { amount, isStorable } from '../../http/body.ts'
import { type Route, routesOf } from '../../http/route.ts'
import type { RunRate } from '../../http/run-rate.ts'
import { agentRequestView } from '../../http/shared-shapes.ts'
import { type RunDeps, runOf } from './run-of.ts'

const route = routesOf('Own run')

const MAX_REASON = 500
const MAX_BODY_BYTES = 8_192
/** Each counts as so many reports: a Control Panel may have to answer it. */
const REPORTS_PER_REQUEST = 20

const NEW_REQUEST = z.strictObject({
  add_usd: amount,
  reason: z
    .string()
    .min(1)
    .max(MAX_REASON)
    .refine(isStorable, 'a text may hold neither U+0000 nor half a surrogate pair')
    .describe('For who decides. Personal data in it is redacted.'),
})

/** `clean`: redacts a text of an agent. */
export const requestRoutes = (
  { money: { requests } }: RunDeps,
  clean: (agentId: AgentId, text: string) => string,
  rate: RunRate,
): Route[] => [
  route('POST /api/run/budget-requests', {
    role: 'agent',
    summary:
      'Asks for more of the budget that has the least left of those that pay for its calls. What is asked for again while it waits is answered with the request that waits.',
    body: NEW_REQUEST,
    maxBytes: MAX_BODY_BYTES,
    reply: () => agentRequestView(),
    errors: ['invalid_amount', 'conflict', 'panel_unreachable', 'runtime_revoked'],
    handle: async ({ identity, body: { add_usd: more, reason } }) => {
      if (more <= 0) throw new CageError('invalid_amount', 'nothing more cannot be asked for')
      const run = runOf(identity)
      await rate.enter(run.agentId, REPORTS_PER_REQUEST)
      return requests.ask(run, more, clean(run.agentId, reason).slice(0, MAX_REASON))
    },
  }),
  route('GET /api/run/budget-requests/:id', {
    role: 'agent',
    summary: 'Returns a request of the agent as it is now.',
    reply: () => agentRequestView(),
    errors: ['not_found', 'panel_unreachable', 'runtime_revoked'],
    handle: async ({ params, identity }) => {
      const run = runOf(identity)
      await rate.enter(run.agentId, REPORTS_PER_REQUEST)
      return requests.find(run, params.id)
    },
  }),
]
