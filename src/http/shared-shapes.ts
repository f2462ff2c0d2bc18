/** Shapes and limits of routes that a server and a Control Panel both have. */
import * as z from 'zod'
import type { ApiToken } from '../access/api-tokens.ts'
import type { SessionTokens } from '../access/sessions.ts'
import type { User } from '../access/users.ts'
import { tagsSchema } from '../config/tags.ts'
import { isoTime } from '../core/clock.ts'
import type { AgentRequest } from '../protocol/control-messages.ts'
import { amount } from './body.ts'
import { count, named, type Shape, time, usd } from './route.ts'

/** Of routes without authentication. */
export const MAX_PROOF_BYTES = 8_192

export const sessionTokens = named('SessionTokens', () =>
  z.object({
    access_token: z.string().describe('For Authorization: Bearer.'),
    refresh_token: z.string().describe('For POST /api/auth/refresh, once.'),
    expires_in: z.number().describe('Seconds until the access token expires.'),
    role: z.enum(['admin', 'viewer']),
    name: z.string(),
  } satisfies Shape<SessionTokens>),
)

export const userView = named('User', () =>
  z.object({
    id: z.string(),
    username: z.string(),
    role: z.enum(['admin', 'viewer']),
    created_at: time(),
    password_changed_at: time(),
  } satisfies Shape<User>),
)

const role = z.enum(['admin', 'viewer'])
/** Users of a Control Panel may have an address: there these schemas are extended. */
const NO_EMAIL: z.core.$ZodErrorMap = (issue) =>
  issue.code === 'unrecognized_keys' && (issue.keys as string[]).includes('email')
    ? 'users of a server sign in with a password and have no e-mail address; for one on a Control Panel set IRON_CAGE_URL to it'
    : undefined

export const NEW_USER = z.strictObject(
  { username: z.string().max(80), password: z.string(), role: role.default('viewer') },
  { error: NO_EMAIL },
)
export const USER_CHANGE = z
  .strictObject({ role: role.optional(), password: z.string().optional() }, { error: NO_EMAIL })
  .refine(({ role, password }) => role !== undefined || password !== undefined, {
    error: 'expected { "role": "viewer" } or { "password": "…" }',
    // One reason is enough.
    when: ({ issues }) => issues.length === 0,
  })

export const tokenView = named('ApiToken', () =>
  z.object({
    id: z.string(),
    name: z.string(),
    role: z.enum(['admin', 'viewer', 'agent']),
    agent_id: z.string().nullable().describe('Agent that its calls count as; null for other roles.'),
    created_at: time(),
    expires_at: time().nullable().describe('Null: never.'),
    revoked_at: time().nullable(),
    created_by: z.string(),
  } satisfies Shape<ApiToken>),
)

export const newTokenView = () => tokenView().extend({ token: z.string().describe('Its value, returned only here.') })

const YEAR_S = 31_536_000

export const NEW_TOKEN = z.strictObject({
  name: z.string().min(1).max(80),
  role: z.enum(['admin', 'viewer', 'agent']).default('agent'),
  budget_usd: amount.optional().describe('Hard limit, for the role agent. (Default: budget.limit_usd.)'),
  expires_in_s: z
    .number()
    .int()
    .min(1)
    .max(10 * YEAR_S)
    .optional(),
  tags: tagsSchema
    .optional()
    .describe('What its cost is grouped by in reports, for the role agent. (Default: agent.tags.)'),
})

export const auditVerdict = () =>
  z.union([
    z.object({ ok: z.literal(true), rows: count(), head: z.string().describe('Hash of the last row.') }),
    z.object({
      ok: z.literal(false),
      rows: count().describe('Good rows before the bad one.'),
      row: z.int().nullable().describe('The first bad or missing row; null if the problem concerns no row.'),
      problem: z.string(),
    }),
  ])

const seq = z.coerce.number().int().min(0)
export const AUDIT_PAGE = z.object({
  before: seq.optional(),
  after: seq.optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
})

/** Of the agent's own budget "agent", or of another one. */
export const agentRequestView = named('AgentRequest', () =>
  z.object({
    id: z.string(),
    budget: z
      .string()
      .describe('Which: "agent", "run" or "server" of this server, or a shared one such as "team research".'),
    add_usd: usd(),
    reason: z.string(),
    asked_at: time(),
    state: z.enum(['pending', 'approved', 'rejected']),
    decision: z.string().nullable().describe('The reason of who decided on the Control Panel; null without one.'),
  } satisfies Shape<AgentRequest>),
)

/** A day means its first moment, UTC. */
export const instant = z
  .union([z.iso.date(), z.iso.datetime({ offset: true })], { error: 'expected a time such as 2026-01-02T03:04:05Z' })
  .transform((text) => isoTime(Date.parse(text)))

const LEVELS = ['DEBUG', 'INFO', 'OK', 'WARN', 'ERROR', 'CRIT'] as const
export const level = () => z.enum(LEVELS)
