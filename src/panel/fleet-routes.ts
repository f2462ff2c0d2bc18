/** For people: shared budgets, the runtimes of the fleet, and their leases. */

import type { Context } from 'hono'
import * as z from 'zod'
import { amount, check } from '../http/body.ts'
import { count, named, type Route, type Shape, time, usd } from '../http/route.ts'
import type { Member, PanelRole } from './access/credentials.ts'
import { agentView } from './agent-view.ts'
import { SHARED_SCOPES } from './bank/bank.ts'
import type { Fleet, LimitChange } from './bank/budgets.ts'
import { SHARED_PERIODS } from './bank/periods.ts'
import type { Orders } from './control/orders.ts'
import type { FleetView, LeaseView, RuntimeView, SharedBudgetView } from './fleet-view.ts'
import { panelRoutesOf } from './panel-route.ts'
import type { SharedViews } from './shared-views.ts'
import type { PanelTelemetry } from './telemetry/telemetry.ts'
import { viewOf } from './views.ts'

const fleetRoute = panelRoutesOf('Fleet')

const budgetView = named('SharedBudget', () =>
  z.object({
    scope: z.enum(SHARED_SCOPES),
    name: z.string(),
    period: z.enum(SHARED_PERIODS).nullable().describe('How often its limit renews, in UTC; null for never.'),
    ends_at: time().nullable().describe('When it renews next.'),
    limit_usd: usd(),
    settled_usd: usd().describe('Spent in this period, by the reports of runtimes.'),
    lent_usd: usd().describe('Lent to runtimes and not accounted for yet.'),
    free_usd: usd(),
  } satisfies Shape<SharedBudgetView>),
)

const leaseView = named('Lease', () =>
  z.object({
    id: z.string(),
    state: z.enum(['active', 'expired', 'quarantined', 'closed']),
    granted_usd: usd(),
    used_usd: usd(),
    returned_usd: usd(),
    held_usd: usd().describe('By running and unresolved calls.'),
    lent_usd: usd().describe('Still to be accounted for.'),
    expires_at: time(),
  } satisfies Shape<LeaseView>),
)

const runtimeView = named('RuntimeOfFleet', () =>
  z.object({
    id: z.string(),
    name: z.string(),
    version: z.string(),
    environments: z.array(z.string()).describe('Whose secrets it may have.'),
    state: z.enum(['connected', 'silent', 'revoked']),
    joined_at: time(),
    last_seen_at: time().nullable(),
    lag_ms: count().nullable().describe('Time since it was last seen.'),
    lent_usd: usd(),
    leases: z.array(leaseView()),
    agents: z.array(agentView()),
    lost_events: count(),
  } satisfies Shape<RuntimeView>),
)

/** A name of a team or user, as people type it. */
export const memberName = z
  .string()
  .regex(/^[\w.@-]{1,80}$/, 'expected up to 80 letters, digits, ".", "_", "@" and "-"')

/** The name of an agent or token, as runtimes have them. */
const callerName = z
  .string()
  .regex(/^[\p{L}\p{N}\p{P}\p{S} ]{1,80}$/u, 'expected up to 80 letters, digits, signs and spaces')

/** A name of a budget's owner. */
export const nameFor = (scope: SharedBudgetView['scope']) =>
  scope === 'agent' || scope === 'token' ? callerName : memberName

const MAX_COVER_S = 86_400

/** Browsers and commands name it plainly; a client that weighs encodings gets the text. */
const takesGzip = ({ req }: Context): boolean =>
  (req.header('accept-encoding') ?? '').split(',').some((encoding) => encoding.trim().toLowerCase() === 'gzip')

const period = z.enum(SHARED_PERIODS).nullable().optional()
const LIMIT_CHANGE = z.union(
  [z.strictObject({ limit_usd: amount, period }), z.strictObject({ add_usd: amount, period })],
  { error: 'expected { "limit_usd": "75" } or { "add_usd": "25" }, with "period": "day", "month" or null' },
)

export function fleetRoutes(parts: {
  fleet: Fleet
  views: SharedViews<FleetView>
  telemetry: PanelTelemetry
  orders: Orders
}): Route<PanelRole>[] {
  const { fleet, views } = parts
  return [
    fleetRoute('GET /api/fleet', {
      role: 'viewer',
      summary: 'Returns budgets, runtimes, and their leases that are not closed.',
      reply: () =>
        z.object({
          organization: z.string(),
          cover_s: count().describe('How many seconds of spending a runtime may hold in advance.'),
          server_time: time(),
          reconciling_until: time()
            .nullable()
            .describe('Nothing is lent until every runtime has presented its leases, or until then.'),
          budgets: z.array(budgetView()),
          runtimes: z.array(runtimeView()),
        } satisfies Shape<FleetView>),
      handle: async ({ context, identity }) => {
        const view = await views.view(identity.organizationId)
        const headers = { 'content-type': 'application/json', vary: 'accept-encoding' }
        // Hundreds of machines are hundreds of kilobytes, each second for each page.
        return takesGzip(context)
          ? context.body(await view.gzipped(), 200, { ...headers, 'content-encoding': 'gzip' })
          : context.body(view.text, 200, headers)
      },
    }),
    ...SHARED_SCOPES.map((scope) => limitRoute(parts, scope)),
    fleetRoute('PATCH /api/fleet/cover', {
      role: 'admin',
      summary: 'Sets how many seconds of spending a runtime may hold in advance, to go on while the panel is away.',
      body: z.strictObject({ cover_s: z.number().int().min(1).max(MAX_COVER_S) }),
      reply: () => z.object({ cover_s: count() }),
      handle: async ({ body: { cover_s }, identity }) => {
        await fleet.setCover(identity.organizationId, cover_s, identity.name)
        return { cover_s }
      },
    }),
    fleetRoute('POST /api/fleet/invitations', {
      role: 'admin',
      summary: 'Creates a token with which one runtime joins, within a week. Budgets of its team and user pay as well.',
      body: z.strictObject({
        name: z.string().min(1).max(80).default('runtime'),
        team: memberName.nullable().default(null),
        user: memberName.nullable().default(null),
      }),
      reply: () => z.object({ token: z.string().describe('Its value, returned only here.') }),
      statuses: [201],
      errors: ['not_found'],
      handle: async ({ body: { name, team, user }, identity }) => ({
        token: await fleet.credentials.invite(identity.organizationId, { team, user }, name, identity.name),
      }),
    }),
    fleetRoute('DELETE /api/fleet/runtimes/:id', {
      role: 'admin',
      summary: "Ends a runtime's right to spend. What it was lent stays lent until it is resolved.",
      reply: null,
      errors: ['not_found'],
      handle: ({ params, identity }) => fleet.revoke(identity.organizationId, params.id, identity.name),
    }),
    fleetRoute('POST /api/fleet/leases/:id/resolve', {
      role: 'admin',
      summary: 'Closes an expired or quarantined lease: says what was spent of it; the rest is free again.',
      body: z.strictObject({
        spent_usd: amount,
        reason: z.string().min(1).max(500),
        above_lent: z.boolean().default(false).describe('Accepts more than was lent, which calls may have cost.'),
      }),
      reply: null,
      errors: ['not_found', 'conflict'],
      handle: ({ params, body: { spent_usd: spent, reason, above_lent: isAboveLent }, identity }) =>
        fleet.resolve(identity.organizationId, params.id, spent, { by: identity.name, reason, isAboveLent }),
    }),
  ]
}

function limitRoute(
  parts: { fleet: Fleet; telemetry: PanelTelemetry; orders: Orders },
  scope: SharedBudgetView['scope'],
): Route<PanelRole> {
  const handle = async (
    member: Member,
    name: string | null,
    { period, ...change }: z.output<typeof LIMIT_CHANGE>,
  ): Promise<FleetView> => {
    const checked = name === null ? null : check(nameFor(scope), name, 'the name')
    const limit = 'limit_usd' in change ? { limit: change.limit_usd } : { add: change.add_usd }
    const changed: LimitChange = { ...limit, ...(period !== undefined && { period }) }
    await parts.fleet.setLimit(member.organizationId, { scope, name: checked }, changed, member.name)
    return viewOf(parts, member.organizationId)
  }
  const doc = {
    role: 'admin',
    body: LIMIT_CHANGE,
    reply: () => z.looseObject({ budgets: z.array(budgetView()) }),
    errors: ['invalid_amount', 'conflict'],
  } as const
  if (scope === 'organization') {
    const summary = "Sets or raises the organization's limit."
    return fleetRoute('PATCH /api/fleet/budgets/organization', {
      ...doc,
      summary,
      handle: async ({ body, identity }) => ({ ...(await handle(identity, null, body)) }),
    })
  }
  const article = scope === 'agent' ? 'an' : 'a'
  const summary = `Sets or raises the limit of ${article} ${scope}; creates its budget.`
  return fleetRoute(`PATCH /api/fleet/budgets/${scope}/:name`, {
    ...doc,
    summary,
    handle: async ({ params, body, identity }) => ({ ...(await handle(identity, params.name, body)) }),
  })
}
