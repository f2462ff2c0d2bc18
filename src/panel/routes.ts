/** The routes of a Control Panel. A runtime's routes answer for that runtime alone; people see their own organization. */
import type { Context } from 'hono'
import * as z from 'zod'
import { amount } from '../api/body.ts'
import { openApiDocument } from '../api/openapi.ts'
import { count, named, PANEL_TAGS, type Route, routesOf, type Shape, time, usd } from '../api/route.ts'
import { isoTime } from '../clock.ts'
import type { LeaseAnswer, Opened, Reported, SharedBalance } from '../lease-messages.ts'
import { add, max, type Nanodollars, subtract, toUsd, ZERO_NANOS } from '../money.ts'
import { escrowOf, grantLease, leaseId, openRuntime, recordStatements } from './bank.ts'
import { leaseOf, type StoredBudget, type StoredLease, type StoredRuntime } from './db/bank-store.ts'
import type { Fleet, LimitChange, Member, PanelRole } from './fleet.ts'
import type { FleetView, LeaseView, RuntimeView, SharedBudgetView } from './fleet-view.ts'

export interface PanelRooms {
  fleet: Fleet
  version: string
  /** How long runtimes may spend without hearing from the panel, in ms. */
  ttlMs: number
  /** Such as leases that were quarantined. */
  onNotice: (text: string) => void
}

/** A runtime that was not heard from for this long is silent, in ms. */
const SILENT_MS = 10_000
/** Statements in one report. */
const MAX_STATEMENTS = 500

export function panelRoutes(rooms: PanelRooms): Route<PanelRole>[] {
  const routes: Route<PanelRole>[] = [
    ...healthRoutes(rooms, () => routes),
    ...leaseRoutes(rooms),
    ...fleetRoutes(rooms),
  ]
  return routes
}

const panelRoute = routesOf<Member, PanelRole>('Panel')

const healthRoutes = ({ fleet, version }: PanelRooms, all: () => readonly Route<PanelRole>[]): Route<PanelRole>[] => [
  panelRoute('GET /health/live', {
    role: 'open',
    summary: 'Answers while the process runs.',
    reply: () => z.object({ status: z.literal('ok') }),
    handle: () => ({ status: 'ok' as const }),
  }),
  panelRoute('GET /health/ready', {
    role: 'open',
    summary: 'Answers whether the database can be used; 503 if it cannot.',
    reply: () => z.object({ status: z.enum(['ok', 'unready']) }),
    statuses: [200, 503],
    handle: async ({ context }) => {
      const isReady = await fleet.ping().then(
        () => true,
        () => false,
      )
      return context.json({ status: isReady ? 'ok' : 'unready' }, isReady ? 200 : 503)
    },
  }),
  panelRoute('GET /api/version', {
    role: 'open',
    summary: 'Returns the version.',
    reply: () => z.object({ version: z.string(), panel: z.literal(true) }),
    handle: () => ({ version, panel: true as const }),
  }),
  panelRoute('GET /api/openapi.json', {
    role: 'viewer',
    summary: 'Returns the OpenAPI document.',
    reply: () => z.looseObject({ openapi: z.string().describe('Version of the format.') }),
    handle: () => openApiDocument(all(), version, PANEL_TAGS),
  }),
  panelRoute('POST /api/auth/exchange', {
    role: 'open',
    summary: 'Exchanges the code of a link for a session.',
    body: z.strictObject({ code: z.string().max(100) }),
    reply: () =>
      z.object({ token: z.string(), role: z.enum(['admin', 'viewer']), expires_in: count().describe('Seconds.') }),
    errors: ['unauthorized'],
    handle: ({ body }) => fleet.exchange(body.code),
  }),
]

const leaseRoute = routesOf<Member, PanelRole>('Leases')
const nanos = amount
const id = z.string().min(1).max(200)
const LEASE_ERRORS = ['runtime_revoked', 'runtime_fenced', 'invalid_amount', 'database_unusable'] as const

const balanceView = named('SharedBalance', () =>
  z.object({
    budget: z.string().describe('The one with the least left.'),
    limit_usd: usd(),
    settled_usd: usd(),
    free_usd: usd(),
  }),
)

function leaseRoutes({ fleet, ttlMs, version, onNotice }: PanelRooms): Route<PanelRole>[] {
  const { bank } = fleet
  return [
    leaseRoute('POST /api/runtimes/join', {
      role: 'invited',
      summary: 'Makes a runtime of the bearer of an invitation, which works once.',
      body: z.strictObject({ name: z.string().min(1).max(80), version: z.string().max(40) }),
      reply: () => z.object({ runtime_id: z.string(), token: z.string(), panel_version: z.string() }),
      statuses: [201],
      handle: async ({ body, identity }) => {
        const { runtimeId, token } = await fleet.join(identity, body.name, body.version)
        return { runtime_id: runtimeId, token, panel_version: version }
      },
    }),
    leaseRoute('DELETE /api/runtimes/self', {
      role: 'runtime',
      summary: 'Ends the membership of the runtime, which has returned its leases.',
      reply: null,
      handle: ({ identity }) => fleet.revoke(identity.organizationId, identity.id, identity.name),
    }),
    leaseRoute('POST /api/leases/open', {
      role: 'runtime',
      summary: 'Begins an epoch: the first message of each start of a runtime.',
      body: z.strictObject({ journal_id: id }),
      reply: () =>
        z.object({
          epoch: count(),
          ttl_ms: count(),
          leases: z.array(z.object({ id: z.string(), granted_usd: usd() })),
        }),
      errors: LEASE_ERRORS,
      handle: async ({ body, identity }) => {
        const needs = { runtimeId: identity.id, allLeases: true }
        const opened = await bank.run(needs, (books) =>
          openRuntime(books, identity.id, { journalId: body.journal_id }, ttlMs),
        )
        for (const lease of opened.quarantined) {
          onNotice(`${identity.name} came back with another database: lease ${lease.id} is quarantined`)
        }
        return wireOpened(opened)
      },
    }),
    leaseRoute('POST /api/leases/request', {
      role: 'runtime',
      summary: 'Requests a slice of the shared budgets. A repeated request gets the same one.',
      body: z.strictObject({ epoch: count(), request: count(), least_usd: nanos, want_usd: nanos }),
      reply: () =>
        z.object({
          outcome: z.enum(['granted', 'exhausted', 'lent']),
          id: z.string().optional(),
          granted_usd: usd().optional(),
          ttl_ms: count().optional(),
          is_scarce: z.boolean(),
          balance: balanceView(),
        }),
      errors: LEASE_ERRORS,
      handle: async ({ body: { epoch, request, least_usd: least, want_usd: want }, identity }) => {
        const leaseIds = [leaseId(identity.id, epoch, request)]
        const answer = await bank.run({ runtimeId: identity.id, leaseIds }, (books) =>
          grantLease(books, identity.id, { epoch, request, least, want }, ttlMs),
        )
        return wireAnswer(answer)
      },
    }),
    leaseRoute('POST /api/leases/report', {
      role: 'runtime',
      summary: 'Takes statements about leases, and extends the right to spend them.',
      body: z.strictObject({
        epoch: count(),
        statements: z
          .array(z.strictObject({ id, used_usd: nanos, returned_usd: nanos, held_usd: nanos, final: z.boolean() }))
          .max(MAX_STATEMENTS),
      }),
      reply: () => z.object({ ttl_ms: count(), is_scarce: z.boolean(), balance: balanceView() }),
      errors: LEASE_ERRORS,
      handle: async ({ body: { epoch, statements }, identity }) => {
        const leaseIds = statements.map((statement) => statement.id)
        const said = statements.map(({ id: lease, used_usd, returned_usd, held_usd, final }) => {
          return { id: lease, used: used_usd, returned: returned_usd, held: held_usd, isFinal: final }
        })
        const reported = await bank.run({ runtimeId: identity.id, leaseIds }, (books) =>
          recordStatements(books, identity.id, { epoch, statements: said }, ttlMs),
        )
        return wireReported(reported)
      },
    }),
  ]
}

const wireBalance = ({ budget, limit, settled, free }: SharedBalance) => ({
  budget,
  limit_usd: toUsd(limit),
  settled_usd: toUsd(settled),
  free_usd: toUsd(free),
})

const wireOpened = ({ epoch, ttlMs, leases }: Opened) => ({
  epoch,
  ttl_ms: ttlMs,
  leases: leases.map(({ id: lease, granted }) => ({ id: lease, granted_usd: toUsd(granted) })),
})

const wireAnswer = (answer: LeaseAnswer) => ({
  outcome: answer.outcome,
  ...(answer.outcome === 'granted' && { id: answer.id, granted_usd: toUsd(answer.granted), ttl_ms: answer.ttlMs }),
  is_scarce: answer.isScarce,
  balance: wireBalance(answer.balance),
})

const wireReported = ({ ttlMs, isScarce, balance }: Reported) => ({
  ttl_ms: ttlMs,
  is_scarce: isScarce,
  balance: wireBalance(balance),
})

const fleetRoute = routesOf<Member, PanelRole>('Fleet')

const budgetView = named('SharedBudget', () =>
  z.object({
    scope: z.enum(['organization', 'team', 'user']),
    name: z.string(),
    limit_usd: usd(),
    settled_usd: usd().describe('Spent, by the reports of runtimes.'),
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
    state: z.enum(['connected', 'silent', 'revoked']),
    joined_at: time(),
    last_seen_at: time().nullable(),
    lag_ms: count().nullable().describe('Time since it was last seen.'),
    lent_usd: usd(),
    leases: z.array(leaseView()),
  } satisfies Shape<RuntimeView>),
)

const LIMIT_CHANGE = z.union([z.strictObject({ limit_usd: amount }), z.strictObject({ add_usd: amount })], {
  error: 'expected { "limit_usd": "75" } or { "add_usd": "25" }',
})

/** A name of a team or user, as people type it. */
const memberName = z.string().regex(/^[\w.@-]{1,80}$/, 'expected up to 80 letters, digits, ".", "_", "@" and "-"')

function fleetRoutes({ fleet }: PanelRooms): Route<PanelRole>[] {
  return [
    fleetRoute('GET /api/fleet', {
      role: 'viewer',
      summary: 'Returns budgets, runtimes, and their leases that are not closed.',
      reply: () =>
        z.object({
          organization: z.string(),
          server_time: time(),
          budgets: z.array(budgetView()),
          runtimes: z.array(runtimeView()),
        } satisfies Shape<FleetView>),
      handle: ({ identity }) => viewOf(fleet, identity),
    }),
    ...(['organization', 'team', 'user'] as const).map((scope) => limitRoute(fleet, scope)),
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
        token: await fleet.invite(identity.organizationId, { team, user }, name, identity.name),
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
      body: z.strictObject({ spent_usd: amount, reason: z.string().min(1).max(500) }),
      reply: null,
      errors: ['not_found', 'conflict'],
      handle: ({ params, body: { spent_usd: spent, reason }, identity }) =>
        fleet.resolve(identity.organizationId, params.id, spent, { by: identity.name, reason }),
    }),
    fleetRoute('GET /api/fleet/audit', {
      role: 'admin',
      summary: 'Returns what people did, newest first.',
      query: z.strictObject({ limit: z.coerce.number().int().min(1).max(1_000).default(100) }),
      reply: () =>
        z.object({
          entries: z.array(z.looseObject({ at: time(), actor: z.string(), action: z.string(), target: z.string() })),
        }),
      handle: async ({ query, identity }) => ({
        entries: (await fleet.audit(identity.organizationId, query.limit)).map(
          ({ n, at, actor, action, target, details }) => {
            return { n, at: isoTime(at), actor, action, target, details: JSON.parse(details) as unknown }
          },
        ),
      }),
    }),
  ]
}

function limitRoute(fleet: Fleet, scope: SharedBudgetView['scope']): Route<PanelRole> {
  const handle = async (
    member: Member,
    name: string | null,
    change: z.output<typeof LIMIT_CHANGE>,
  ): Promise<FleetView> => {
    const checked = name === null ? null : memberName.parse(name)
    const limit: LimitChange = 'limit_usd' in change ? { limit: change.limit_usd } : { add: change.add_usd }
    await fleet.setLimit(member.organizationId, { scope, name: checked }, limit, member.name)
    return viewOf(fleet, member)
  }
  const doc = {
    role: 'admin',
    body: LIMIT_CHANGE,
    reply: () => z.looseObject({ budgets: z.array(budgetView()) }),
    errors: ['invalid_amount'],
  } as const
  if (scope === 'organization') {
    const summary = "Sets or raises the organization's limit."
    return fleetRoute('PATCH /api/fleet/budgets/organization', {
      ...doc,
      summary,
      handle: async ({ body, identity }) => ({ ...(await handle(identity, null, body)) }),
    })
  }
  const summary = `Sets or raises the limit of a ${scope}; creates its budget.`
  return fleetRoute(`PATCH /api/fleet/budgets/${scope}/:name`, {
    ...doc,
    summary,
    handle: async ({ params, body, identity }) => ({ ...(await handle(identity, params.name, body)) }),
  })
}

async function viewOf(fleet: Fleet, { organizationId }: Member): Promise<FleetView> {
  const { organization, now, budgets, runtimes, leases } = await fleet.read(organizationId)
  return {
    organization,
    server_time: isoTime(now),
    budgets: budgets.map(budgetViewOf),
    runtimes: runtimes.map((runtime) =>
      runtimeViewOf(
        runtime,
        leases.filter(({ runtime_id }) => runtime_id === runtime.id),
        now,
      ),
    ),
  }
}

const budgetViewOf = ({ scope, name, limit_nanos, settled_nanos, escrow_nanos }: StoredBudget): SharedBudgetView => ({
  scope,
  name,
  limit_usd: toUsd(limit_nanos),
  settled_usd: toUsd(settled_nanos),
  lent_usd: toUsd(escrow_nanos),
  free_usd: toUsd(max(ZERO_NANOS, subtract(limit_nanos, add(settled_nanos, escrow_nanos)))),
})

function runtimeViewOf(row: StoredRuntime, leases: readonly StoredLease[], now: number): RuntimeView {
  const lent: Nanodollars = add(...leases.map((lease) => escrowOf(leaseOf(lease))))
  const lag = row.last_seen_at === null ? null : Math.max(0, now - row.last_seen_at)
  const state = row.revoked_at !== null ? 'revoked' : lag !== null && lag <= SILENT_MS ? 'connected' : 'silent'
  return {
    id: row.id,
    name: row.name,
    version: row.version,
    state,
    joined_at: isoTime(row.joined_at),
    last_seen_at: row.last_seen_at === null ? null : isoTime(row.last_seen_at),
    lag_ms: lag,
    lent_usd: toUsd(lent),
    leases: leases.map(leaseViewOf),
  }
}

const leaseViewOf = (row: StoredLease): LeaseView => ({
  id: row.id,
  state: row.state,
  granted_usd: toUsd(row.granted_nanos),
  used_usd: toUsd(row.used_nanos),
  returned_usd: toUsd(row.returned_nanos),
  held_usd: toUsd(row.held_nanos),
  lent_usd: toUsd(escrowOf(leaseOf(row))),
  expires_at: isoTime(row.expires_at),
})

/** The bearer token of a request. */
export const bearerOf = ({ req }: Context): string | undefined =>
  /^bearer +(\S+)$/i.exec(req.header('authorization') ?? '')?.[1]
