/** The tables as drizzle sees them. The migrations create them; a test keeps the two in sync. */

import { blob, integer, primaryKey, sqliteTable, sqliteView, text } from 'drizzle-orm/sqlite-core'
import type { AgentState, AlertKind, Level } from '../../core/events.ts'
import type { AgentId, CallId, RunId } from '../../core/ids.ts'
import { type Nanodollars, ZERO_NANOS } from '../../core/money.ts'

export const events = sqliteTable('events', {
  seq: integer().primaryKey(),
  at: text().notNull(),
  agent_id: text().$type<AgentId>(),
  level: text().notNull(),
  type: text().notNull(),
  message: text().notNull(),
  data: text({ mode: 'json' }).notNull(),
})

export const runs = sqliteTable('runs', {
  id: text().$type<RunId>().primaryKey(),
  agent_id: text().$type<AgentId>().notNull(),
  name: text().notNull(),
  script: text().notNull(),
  environment: text().notNull(),
  restart: integer().notNull(),
  pid: integer().notNull(),
  /** Start time of the process as reported by the system: pids are reused, this pair is not. */
  pid_started: text(),
  started_at: text().notNull(),
  ended_at: text(),
  exit_code: integer(),
  signal: text(),
})

/** Agents that no longer fit into the snapshot: `state/past-agents.ts`. */
export const pastAgents = sqliteTable('past_agents', {
  id: text().$type<AgentId>().primaryKey(),
  name: text().notNull(),
  script: text().notNull(),
  state: text().$type<AgentState>().notNull(),
  started_at: text().notNull(),
  /** The last event included in the view. */
  seq: integer().notNull(),
  view: text({ mode: 'json' }).notNull(),
})

export const budgets = sqliteTable('budgets', {
  agent_id: text().$type<AgentId>().primaryKey(),
  limit_nanos: integer().$type<Nanodollars>().notNull(),
  /** The limit that the warning was given for: a new limit warns again. */
  warned_limit_nanos: integer().$type<Nanodollars>(),
  exhausted_limit_nanos: integer().$type<Nanodollars>(),
  /** The period that the warning was given for: a new one warns again. Null without periods. */
  period_starts_at: text(),
})

const callColumns = {
  agent_id: text().$type<AgentId>().notNull(),
  /** Starts with the time, so that new rows are stored next to each other. */
  id: text().$type<CallId>().notNull(),
  run_id: text().$type<RunId>(),
  kind: text({ enum: ['llm', 'service', 'reported', 'correction'] }).notNull(),
  /** Provider or service. */
  target: text().notNull(),
  model: text(),
  /** `held` only in `ledger`. */
  state: text({ enum: ['held', 'charged', 'released', 'unresolved'] }).notNull(),
  held_nanos: integer().$type<Nanodollars>().notNull(),
  cost_nanos: integer().$type<Nanodollars>().notNull().default(ZERO_NANOS),
  estimated: integer({ mode: 'boolean' }).notNull().default(false),
  /** The price of a token, and the price list it is from. */
  price: text({ mode: 'json' }),
  usage: text({ mode: 'json' }),
  status: integer(),
  code: text(),
  started_at: text().notNull(),
  /** When the cost was counted; for a correction, when its call's cost was. */
  ended_at: text(),
  /** The call that a correction corrects. */
  corrects: text().$type<CallId>(),
  /** The reason for a correction, as its author wrote it. */
  reason: text(),
  /** The unit of work in progress when it started, such as "lead 67"; null without reported progress. */
  unit: text(),
  /** The lease that pays for it too; null without a Control Panel. */
  lease_id: text(),
}

/**
 * One row per call that has ended or is unresolved. Ended rows are never edited: a correction is its own row. Written
 * once, so that a call costs few pages.
 */
export const calls = sqliteTable('calls', callColumns, (table) => [primaryKey({ columns: [table.agent_id, table.id] })])

/** One row per running call, written before the first byte is sent; it becomes one of `calls` when the call ends. */
export const holds = sqliteTable('holds', {
  id: text().$type<CallId>().primaryKey(),
  agent_id: text().$type<AgentId>().notNull(),
  run_id: text().$type<RunId>(),
  kind: text({ enum: ['llm', 'service', 'reported'] }).notNull(),
  target: text().notNull(),
  model: text(),
  unit: text(),
  lease_id: text(),
  held_nanos: integer().$type<Nanodollars>().notNull(),
  started_at: text().notNull(),
})

/** All calls: `calls`, and `holds` in their columns. */
export const ledger = sqliteView('ledger', callColumns).existing()

/** Slices of budgets that this ledger shares with others, and for a while after they are accounted for (`uplink/lease-accounts.ts`). */
export const leases = sqliteTable('leases', {
  id: text().primaryKey(),
  granted_nanos: integer().$type<Nanodollars>().notNull(),
  /** By ended calls. */
  used_nanos: integer().$type<Nanodollars>().notNull(),
  returned_nanos: integer().$type<Nanodollars>().notNull(),
  /** By the panel; null from one of an earlier version. */
  signed: text(),
  /** When it was accounted for, in ms since 1970; null before. */
  closed_at: integer(),
})

/** The contents of calls, if `calls.keep_content` is on: redacted, compressed, sealed by the vault. */
export const callContents = sqliteTable('call_contents', {
  call_id: text().$type<CallId>().primaryKey(),
  agent_id: text().$type<AgentId>().notNull(),
  at: text().notNull(),
  sealed: blob({ mode: 'buffer' }).notNull(),
})

export const piiIncidents = sqliteTable('pii_incidents', {
  id: text().primaryKey(),
  at: text().notNull(),
  agent_id: text().$type<AgentId>().notNull(),
  call_id: text().$type<CallId>(),
  type: text().notNull(),
  severity: text({ enum: ['CRITICAL', 'WARN'] }).notNull(),
  action: text({ enum: ['redact', 'block', 'warn'] }).notNull(),
  place: text().notNull(),
  value_hash: text().notNull(),
  start: integer().notNull(),
  end: integer().notNull(),
  /** Whether the sealed value is stored, which needs an open vault. */
  original: text({ enum: ['not_kept', 'sealed'] }).notNull(),
  sealed_original: blob({ mode: 'buffer' }),
})

/** Masked and sealed values; `vault/vault.ts` explains how they are bound together. */
export const secrets = sqliteTable('secrets', {
  /** "secret-…" */
  id: text().primaryKey(),
  /** The variable that holds it in an agent. */
  name: text().notNull(),
  environment: text().notNull(),
  /** Version of the value, counted from 1. */
  version: integer().notNull(),
  masked: text().notNull(),
  /** The parameters it was sealed with. */
  parameters: text().notNull(),
  salt: blob({ mode: 'buffer' }).notNull(),
  nonce: blob({ mode: 'buffer' }).notNull(),
  ciphertext: blob({ mode: 'buffer' }).notNull(),
  /** The previous value, for a rollback; all three null when there is none. */
  previous_version: integer(),
  previous_nonce: blob({ mode: 'buffer' }),
  previous_ciphertext: blob({ mode: 'buffer' }),
  created_at: text().notNull(),
  updated_at: text().notNull(),
  /** When the value was last replaced. */
  rotated_at: text(),
  deleted_at: text(),
})

export const checkpoints = sqliteTable(
  'checkpoints',
  {
    agent_name: text().notNull(),
    /** Path of the script; empty for a client without one. */
    script: text().notNull(),
    version: integer().notNull(),
    data: text().notNull(),
    saved_at: text().notNull(),
  },
  (table) => [primaryKey({ columns: [table.agent_name, table.script] })],
)

export const serviceCache = sqliteTable(
  'service_cache',
  {
    service: text().notNull(),
    request_key: text().notNull(),
    status: integer().notNull(),
    content_type: text().notNull(),
    body: blob({ mode: 'buffer' }).notNull(),
    stored_at: text().notNull(),
  },
  (table) => [primaryKey({ columns: [table.service, table.request_key] })],
)

export const alerts = sqliteTable('alerts', {
  id: text().primaryKey(),
  at: text().notNull(),
  agent_id: text().$type<AgentId>(),
  kind: text().$type<AlertKind>().notNull(),
  level: text().$type<Level>().notNull(),
  title: text().notNull(),
  detail: text().notNull(),
  /** The event that caused it. */
  source_seq: integer().notNull(),
  acknowledged_at: text(),
  acknowledged_by: text(),
})

/** The outbox: one row per alert and channel. */
export const alertDeliveries = sqliteTable(
  'alert_deliveries',
  {
    alert_id: text().notNull(),
    channel: text().notNull(),
    state: text({ enum: ['pending', 'delivered', 'failed'] }).notNull(),
    attempts: integer().notNull().default(0),
    /** Why the last attempt failed. */
    error: text(),
    ended_at: text(),
  },
  (table) => [primaryKey({ columns: [table.alert_id, table.channel] })],
)

/** Tokens of unsupervised clients; `agent_id` for the role agent only. */
export const apiTokens = sqliteTable('api_tokens', {
  id: text().primaryKey(),
  name: text().notNull(),
  role: text({ enum: ['admin', 'viewer', 'agent'] }).notNull(),
  agent_id: text().$type<AgentId>(),
  /** SHA-256 in hex: 256 random bits need no slower hash. */
  hash: text().notNull(),
  created_at: text().notNull(),
  expires_at: text(),
  revoked_at: text(),
  /** Name of its creator. */
  created_by: text().notNull(),
})

/** Links that show one agent's report without a sign-in: `access/report-links.ts`. */
export const reportLinks = sqliteTable('report_links', {
  id: text().primaryKey(),
  agent_id: text().$type<AgentId>().notNull(),
  /** SHA-256 in hex. */
  hash: text().notNull(),
  created_at: text().notNull(),
  expires_at: text().notNull(),
  revoked_at: text(),
  /** Name of its creator. */
  created_by: text().notNull(),
})

/** People who sign in with a password. */
export const users = sqliteTable('users', {
  id: text().primaryKey(),
  /** Lowercase. */
  username: text().notNull(),
  role: text({ enum: ['admin', 'viewer'] }).notNull(),
  /** Argon2id with its parameters, as a PHC string. */
  password_hash: text().notNull(),
  created_at: text().notNull(),
  password_changed_at: text().notNull(),
})

export const sessions = sqliteTable('sessions', {
  id: text().primaryKey(),
  /** Null for the operator, who signed in with a one-time link. */
  user_id: text(),
  /** SHA-256 in hex of the valid refresh token. */
  refresh_hash: text().notNull(),
  used_at: text().notNull(),
})

/** The audit chain: `audit/chain.ts` writes it, and nothing changes it. */
export const audit = sqliteTable('audit', {
  /** From 1, gapless. */
  seq: integer().primaryKey(),
  at: text().notNull(),
  role: text({ enum: ['admin', 'viewer', 'agent', 'system', 'nobody'] }).notNull(),
  actor: text().notNull(),
  action: text().notNull(),
  target: text(),
  /** JSON, exactly as hashed. */
  details: text().notNull(),
  /** The hash of the previous row. */
  previous: blob({ mode: 'buffer' }).notNull(),
  hash: blob({ mode: 'buffer' }).notNull(),
})

export const meta = sqliteTable('meta', {
  key: text().primaryKey(),
  value: text().notNull(),
})
