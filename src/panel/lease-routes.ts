/** For runtimes: joining, and the leases of shared budgets. Money is a decimal string in US dollars, as everywhere. */
import * as z from 'zod'
import { amount } from '../api/body.ts'
import { count, named, type Route, routesOf, time, usd } from '../api/route.ts'
import { isoTime } from '../clock.ts'
import type { LeaseAnswer, LeaseUse, Opened, PoolBalance, Reported, SharedBalance } from '../lease-messages.ts'
import { toUsd } from '../money.ts'
import { grantLease, leaseId, openRuntime, recordStatements } from './bank.ts'
import type { Member, PanelRole } from './credentials.ts'
import type { PanelRooms } from './rooms.ts'

/** Statements in one report. */
const MAX_STATEMENTS = 500

const leaseRoute = routesOf<Member, PanelRole>('Leases')
const id = z.string().min(1).max(200)
const LEASE_ERRORS = ['runtime_revoked', 'runtime_fenced', 'invalid_amount', 'database_unusable'] as const

const balanceView = named('SharedBalance', () =>
  z.object({
    budget: z.string().describe('The one with the least left.'),
    limit_usd: usd(),
    settled_usd: usd(),
    free_usd: usd(),
    ends_at: time().nullable().describe('When its period ends; null if it does not renew.'),
  }),
)

/** Of an agent or a token. */
const callerName = z.string().min(1).max(200).nullable()
/** Runtimes of earlier versions do not know budgets of agents and tokens. */
const names = { agent: callerName.default(null), token: callerName.default(null) }

const leaseUse = {
  agent: callerName.describe('Only its calls may use the lease; null for any.'),
  token: callerName.describe('Likewise, of an API token.'),
  ends_in_ms: count().nullable().describe('When its period ends: nothing new may be held of it then. Null for never.'),
}

const coverS = () => count().describe('How many seconds of spending the runtime may hold in advance.')

const reportReply = () =>
  z.object({
    ttl_ms: count(),
    cover_s: coverS(),
    is_scarce: z.boolean(),
    balance: balanceView().describe('For callers without budgets of their own.'),
    pools: z
      .array(z.object({ agent: callerName, token: callerName, is_scarce: z.boolean(), balance: balanceView() }))
      .describe('The same for the others whose leases were reported.'),
    budgets_version: count(),
    budgets: z
      .array(z.object({ scope: z.enum(['agent', 'token']), name: z.string() }))
      .optional()
      .describe('The agents and tokens with budgets of their own, unless the runtime has this version.'),
  })

/** How a runtime joins and leaves. */
export const membershipRoutes = ({ fleet, version }: PanelRooms): Route<PanelRole>[] => [
  leaseRoute('POST /api/runtimes/join', {
    role: 'invited',
    summary: 'Makes a runtime of the bearer of an invitation, which works once.',
    body: z.strictObject({ name: z.string().min(1).max(80), version: z.string().max(40) }),
    reply: () => z.object({ runtime_id: z.string(), token: z.string(), panel_version: z.string() }),
    statuses: [201],
    handle: async ({ body, identity }) => {
      const { runtimeId, token } = await fleet.credentials.join(identity, body.name, body.version)
      return { runtime_id: runtimeId, token, panel_version: version }
    },
  }),
  leaseRoute('DELETE /api/runtimes/self', {
    role: 'runtime',
    summary: 'Ends the membership of the runtime, which has returned its leases.',
    reply: null,
    handle: ({ identity }) => fleet.revoke(identity.organizationId, identity.id, identity.name),
  }),
]

/** What a runtime spends. */
export function leaseRoutes({ fleet, ttlMs, onNotice }: PanelRooms): Route<PanelRole>[] {
  const { bank } = fleet
  return [
    leaseRoute('POST /api/leases/open', {
      role: 'runtime',
      summary: 'Begins an epoch: the first message of each start of a runtime.',
      body: z.strictObject({ journal_id: id }),
      reply: () =>
        z.object({
          epoch: count(),
          ttl_ms: count(),
          cover_s: coverS(),
          leases: z.array(z.object({ id: z.string(), granted_usd: usd(), ...leaseUse })),
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
      body: z.strictObject({ epoch: count(), request: count(), least_usd: amount, want_usd: amount, ...names }),
      reply: () =>
        z.object({
          outcome: z.enum(['granted', 'exhausted', 'lent']),
          id: z.string().optional(),
          granted_usd: usd().optional(),
          agent: leaseUse.agent.optional(),
          token: leaseUse.token.optional(),
          ends_in_ms: leaseUse.ends_in_ms.optional(),
          is_scarce: z.boolean(),
          balance: balanceView(),
        }),
      errors: [...LEASE_ERRORS, 'not_found'],
      handle: async ({ body: { epoch, request, least_usd: least, want_usd: want, agent, token }, identity }) => {
        const needs = {
          runtimeId: identity.id,
          leaseIds: [leaseId(identity.id, epoch, request)],
          names: { agent, token },
        }
        const answer = await bank.run(needs, (books) =>
          grantLease(books, identity.id, { epoch, request, least, want, agent, token }, ttlMs),
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
          .array(z.strictObject({ id, used_usd: amount, returned_usd: amount, held_usd: amount, final: z.boolean() }))
          .max(MAX_STATEMENTS),
        budgets_version: z.number().int().min(-1).nullable().default(null),
      }),
      reply: reportReply,
      errors: LEASE_ERRORS,
      handle: async ({ body: { epoch, statements, budgets_version: known }, identity }) => {
        const leaseIds = statements.map((statement) => statement.id)
        const said = statements.map(({ id: lease, used_usd, returned_usd, held_usd, final }) => {
          return { id: lease, used: used_usd, returned: returned_usd, held: held_usd, isFinal: final }
        })
        const reported = await bank.run({ runtimeId: identity.id, leaseIds }, (books) =>
          recordStatements(books, identity.id, { epoch, statements: said }, ttlMs),
        )
        const { budgetsVersion } = reported
        if (known === null || known === budgetsVersion) return wireReported(reported)
        const { version, budgets } = await fleet.namedBudgets(identity.organizationId)
        return { ...wireReported({ ...reported, budgetsVersion: version }), budgets }
      },
    }),
  ]
}

const wireBalance = ({ budget, limit, settled, free, endsAt }: SharedBalance) => ({
  budget,
  limit_usd: toUsd(limit),
  settled_usd: toUsd(settled),
  free_usd: toUsd(free),
  ends_at: endsAt === null ? null : isoTime(endsAt),
})

const wireUse = ({ names: { agent, token }, endsInMs }: LeaseUse) => ({ agent, token, ends_in_ms: endsInMs })

const wireOpened = ({ epoch, ttlMs, coverS: cover_s, leases }: Opened) => ({
  epoch,
  ttl_ms: ttlMs,
  cover_s,
  leases: leases.map((lease) => ({ id: lease.id, granted_usd: toUsd(lease.granted), ...wireUse(lease) })),
})

const wireAnswer = (answer: LeaseAnswer) => ({
  outcome: answer.outcome,
  ...(answer.outcome === 'granted' && { id: answer.id, granted_usd: toUsd(answer.granted), ...wireUse(answer) }),
  is_scarce: answer.isScarce,
  balance: wireBalance(answer.balance),
})

const wireReported = ({ ttlMs, coverS: cover_s, budgetsVersion, pools }: Reported) => {
  const [base, ...others] = pools.map(wirePool)
  const { is_scarce, balance } = base!
  return { ttl_ms: ttlMs, cover_s, is_scarce, balance, pools: others, budgets_version: budgetsVersion }
}

const wirePool = ({ agent, token, isScarce, balance }: PoolBalance) => ({
  agent,
  token,
  is_scarce: isScarce,
  balance: wireBalance(balance),
})
