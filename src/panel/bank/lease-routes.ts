/** For runtimes: joining, and the leases of shared budgets. Money is a decimal string in US dollars, as everywhere. */

import * as z from 'zod'
import { isoTime } from '../../core/clock.ts'
import type { CageError } from '../../core/errors.ts'
import { toUsd } from '../../core/money.ts'
import { amount } from '../../http/body.ts'
import { count, named, type Route, time, usd } from '../../http/route.ts'
import {
  type LeaseAnswer,
  type LeaseUse,
  leaseId,
  type OpenAnswer,
  type PoolBalance,
  type Reported,
  type SharedBalance,
  type Statement,
} from '../../protocol/lease-messages.ts'
import type { PanelRole } from '../access/credentials.ts'
import { panelRoutesOf } from '../panel-route.ts'
import { type Books, grantLease, openRuntime, recordStatements } from './bank.ts'
import type { Fleet } from './budgets.ts'
import { presentLeases, readPresented } from './generations.ts'

/** Statements in one report. */
const MAX_STATEMENTS = 500

const leaseRoute = panelRoutesOf('Leases')
const id = z.string().min(1).max(200)
/** Runtimes of earlier versions have none. */
const bookmark = z.string().max(200).nullable().default(null).describe('What the last report was answered.')
/** Epochs are counted up from a runtime's own number: exactly, for ever. */
const epochs = z.number().int().min(0).max(1e15)
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
    bookmark: z.string().nullable().describe('How far the books are: to be sent with each message.'),
    unknown: z.array(z.string()).describe('The leases that the books have forgotten: present them.'),
  })

const statement = { id, used_usd: amount, returned_usd: amount, held_usd: amount, final: z.boolean() }
type WireStatement = { [Name in keyof typeof statement]: z.output<(typeof statement)[Name]> }

const statementOf = ({ id: lease, used_usd, returned_usd, held_usd, final }: WireStatement): Statement => ({
  id: lease,
  used: used_usd,
  returned: returned_usd,
  held: held_usd,
  isFinal: final,
})

/** How a runtime joins and leaves. */
export const membershipRoutes = ({ fleet, version }: { fleet: Fleet; version: string }): Route<PanelRole>[] => [
  leaseRoute('POST /api/runtimes/join', {
    role: 'invited',
    summary: 'Makes a runtime of the bearer of an invitation, which works once.',
    body: z.strictObject({ name: z.string().min(1).max(80), version: z.string().max(40) }),
    reply: () =>
      z.object({
        runtime_id: z.string(),
        token: z.string(),
        name: z.string().describe('With a number where another runtime has the name that was asked for.'),
        panel_version: z.string(),
      }),
    statuses: [201],
    handle: async ({ body, identity }) => {
      const { runtimeId, token, name } = await fleet.credentials.join(identity, body.name, body.version)
      return { runtime_id: runtimeId, token, name, panel_version: version }
    },
  }),
  leaseRoute('DELETE /api/runtimes/self', {
    role: 'runtime',
    summary: 'Ends the membership of the runtime, which has returned its leases.',
    reply: null,
    errors: ['runtime_revoked'],
    handle: ({ identity }) => fleet.revoke(identity.organizationId, identity.id, identity.name),
  }),
]

/** A runtime's message before it spends. */
function openRoutes({
  fleet,
  ttlMs,
  onNotice,
}: {
  fleet: Fleet
  ttlMs: number
  onNotice: (text: string) => void
}): Route<PanelRole>[] {
  const { bank } = fleet
  /** Runtimes with a copy that asks again and again. */
  const noticed = new Set<string>()
  return [
    leaseRoute('POST /api/leases/open', {
      role: 'runtime',
      summary: 'Begins an epoch: the first message of each start of a runtime.',
      body: z.strictObject({
        journal_id: id,
        epoch: epochs.default(0).describe('The last one that the runtime knows; 0 for none.'),
        generation: count().optional().describe('The one that it has presented its leases to; 0 for none.'),
        bookmark,
        opening: z
          .strictObject({ id, after: id.nullable().describe('The one that was answered last.') })
          .optional()
          .describe('Repeated until it is answered.'),
      }),
      reply: () =>
        z.object({
          epoch: count(),
          ttl_ms: count(),
          cover_s: coverS(),
          generation: count().describe('Of the books. If another one was sent, present all leases and open again.'),
          leases: z.array(z.object({ id: z.string(), granted_usd: usd(), ...leaseUse })),
          quarantined_count: count().optional().describe('Leases of the runtime that wait for a person.'),
        }),
      errors: [...LEASE_ERRORS, 'runtime_copied'],
      handle: async ({ body, identity }) => {
        const needs = { runtimeId: identity.id, allLeases: true, bookmark: body.bookmark }
        const { journal_id: journalId, epoch, generation, opening } = body
        const opened = await bank
          .run(needs, (books) => {
            const begun = openRuntime(books, identity.id, { journalId, epoch, generation, opening }, ttlMs)
            return { ...begun, quarantinedCount: quarantinedOf(books, identity.id) }
          })
          .catch((error: CageError) => {
            if (error.code === 'runtime_copied' && !noticed.has(identity.id)) {
              noticed.add(identity.id)
              onNotice(`${identity.name}: a copy of its database is refused while another one spends`)
            }
            throw error
          })
        noticed.delete(identity.id)
        for (const lease of opened.quarantined) {
          onNotice(`${identity.name} came back with another database, or lost power: lease ${lease.id} is quarantined`)
        }
        return wireOpened(opened)
      },
    }),
    leaseRoute('POST /api/leases/present', {
      role: 'runtime',
      summary: 'Takes statements about leases that the books may have forgotten, each with what was signed.',
      body: z.strictObject({
        leases: z.array(z.strictObject({ ...statement, signed: z.string().max(2_000) })).max(MAX_STATEMENTS),
      }),
      reply: null,
      errors: LEASE_ERRORS,
      handle: async ({ body: { leases }, identity }) => {
        const said = leases.map(({ signed, ...rest }) => ({ signed, statement: statementOf(rest) }))
        const presented = readPresented(identity.id, said)
        const needs = {
          runtimeId: identity.id,
          leaseIds: presented.map(({ lease }) => lease.id),
          accountIds: presented.flatMap(({ lease }) => lease.path),
        }
        await bank.run(needs, (books) => presentLeases(books, identity.id, presented, ttlMs))
      },
    }),
  ]
}

/** A runtime's spending. */
export function leaseRoutes(parts: {
  fleet: Fleet
  ttlMs: number
  onNotice: (text: string) => void
}): Route<PanelRole>[] {
  const { fleet, ttlMs } = parts
  const { bank } = fleet
  return [
    ...openRoutes(parts),
    leaseRoute('POST /api/leases/request', {
      role: 'runtime',
      summary: 'Requests a slice of the shared budgets. A repeated request gets the same one.',
      body: z.strictObject({
        epoch: count(),
        request: count(),
        least_usd: amount,
        want_usd: amount,
        ...names,
        bookmark,
      }),
      reply: () =>
        z.object({
          outcome: z.enum(['granted', 'exhausted', 'lent']),
          id: z.string().optional(),
          granted_usd: usd().optional(),
          signed: z.string().nullable().optional().describe('To be kept, and presented when the panel asks for it.'),
          agent: leaseUse.agent.optional(),
          token: leaseUse.token.optional(),
          ends_in_ms: leaseUse.ends_in_ms.optional(),
          is_scarce: z.boolean(),
          balance: balanceView(),
        }),
      errors: [...LEASE_ERRORS, 'not_found'],
      handle: async ({ body, identity }) => {
        const { epoch, request, least_usd: least, want_usd: want, agent, token } = body
        const needs = {
          runtimeId: identity.id,
          leaseIds: [leaseId(identity.id, { epoch, request })],
          names: { agent, token },
          bookmark: body.bookmark,
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
        statements: z.array(z.strictObject(statement)).max(MAX_STATEMENTS),
        budgets_version: z.number().int().min(-1).nullable().default(null),
        bookmark,
      }),
      reply: reportReply,
      errors: LEASE_ERRORS,
      handle: async ({ body, identity }) => {
        const { epoch, statements, budgets_version: known } = body
        const leaseIds = statements.map((statement) => statement.id)
        const reported = await bank.run({ runtimeId: identity.id, leaseIds, bookmark: body.bookmark }, (books) =>
          recordStatements(books, identity.id, { epoch, statements: statements.map(statementOf) }, ttlMs),
        )
        const { budgetsVersion } = reported
        if (known === null || known === budgetsVersion) return wireReported(reported)
        const { version, budgets } = await fleet.namedBudgets(identity.organizationId, identity.id)
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

const quarantinedOf = ({ leases }: Books, runtimeId: string): number =>
  [...leases.values()].filter((lease) => lease.runtimeId === runtimeId && lease.state === 'quarantined').length

const wireOpened = ({ epoch, ttlMs, coverS: cover_s, generation, leases, quarantinedCount }: Required<OpenAnswer>) => ({
  epoch,
  quarantined_count: quarantinedCount,
  ttl_ms: ttlMs,
  cover_s,
  generation,
  leases: leases.map((lease) => ({ id: lease.id, granted_usd: toUsd(lease.granted), ...wireUse(lease) })),
})

const wireAnswer = (answer: LeaseAnswer) => ({
  outcome: answer.outcome,
  ...(answer.outcome === 'granted' && {
    id: answer.id,
    granted_usd: toUsd(answer.granted),
    signed: answer.signed,
    ...wireUse(answer),
  }),
  is_scarce: answer.isScarce,
  balance: wireBalance(answer.balance),
})

const wireReported = ({ ttlMs, coverS: cover_s, budgetsVersion, pools, unknown, bookmark }: Reported) => {
  const [base, ...others] = pools.map(wirePool)
  const { is_scarce, balance } = base!
  return {
    ttl_ms: ttlMs,
    cover_s,
    is_scarce,
    balance,
    pools: others,
    budgets_version: budgetsVersion,
    unknown,
    bookmark,
  }
}

const wirePool = ({ agent, token, isScarce, balance }: PoolBalance) => ({
  agent,
  token,
  is_scarce: isScarce,
  balance: wireBalance(balance),
})
