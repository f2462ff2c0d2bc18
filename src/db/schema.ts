/** The tables as drizzle sees them. The migrations make them; a test holds the two together. */

import { blob, integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import type { AgentState, AlertKind, Level } from '../events.ts'
import type { AgentId, CallId, RunId } from '../ids.ts'

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
  /** Start time of the process as the system reports it: pids are used again, this pair is not. */
  pid_started: text(),
  started_at: text().notNull(),
  ended_at: text(),
  exit_code: integer(),
  signal: text(),
})

/** Agents that the snapshot has no place for any more: `state/past-agents.ts`. */
export const pastAgents = sqliteTable('past_agents', {
  id: text().$type<AgentId>().primaryKey(),
  name: text().notNull(),
  script: text().notNull(),
  state: text().$type<AgentState>().notNull(),
  started_at: text().notNull(),
  /** The last event that is in the view. */
  seq: integer().notNull(),
  view: text({ mode: 'json' }).notNull(),
})

export const budgets = sqliteTable('budgets', {
  agent_id: text().$type<AgentId>().primaryKey(),
  limit_nanos: integer().notNull(),
  /** The limit for which the warning was given: a new limit warns anew. */
  warned_limit_nanos: integer(),
  exhausted_limit_nanos: integer(),
  /** The period for which the warning was given: a new one warns anew. Null where there are no periods. */
  period_starts_at: text(),
})

/**
 * The ledger. One row a call, written before the first byte goes out and once more when it ended. What has ended is never
 * edited: a correction is a row of its own.
 */
export const calls = sqliteTable(
  'calls',
  {
    agent_id: text().$type<AgentId>().notNull(),
    /** Begins with the time, so that rows are written side by side. */
    id: text().$type<CallId>().notNull(),
    run_id: text().$type<RunId>(),
    kind: text({ enum: ['llm', 'service', 'reported', 'correction'] }).notNull(),
    /** Provider or service. */
    target: text().notNull(),
    model: text(),
    state: text({ enum: ['held', 'charged', 'released', 'unresolved'] }).notNull(),
    held_nanos: integer().notNull(),
    cost_nanos: integer().notNull().default(0),
    estimated: integer({ mode: 'boolean' }).notNull().default(false),
    /** What a token cost, and from which list. */
    price: text({ mode: 'json' }),
    usage: text({ mode: 'json' }),
    status: integer(),
    code: text(),
    started_at: text().notNull(),
    /** When the cost was counted; of a correction, when that of its call was. */
    ended_at: text(),
    /** The call that a correction corrects. */
    corrects: text().$type<CallId>(),
    /** Why a correction was made, in the words of whoever made it. */
    reason: text(),
  },
  (table) => [primaryKey({ columns: [table.agent_id, table.id] })],
)

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
  /** Whether the value itself is kept, sealed. Not without an open vault. */
  original: text({ enum: ['not_kept', 'sealed'] }).notNull(),
  sealed_original: blob({ mode: 'buffer' }),
})

/** Masked and sealed values; `vault/vault.ts` says how they are bound together. */
export const secrets = sqliteTable('secrets', {
  /** "secret-…" */
  id: text().primaryKey(),
  /** The variable in which an agent finds it. */
  name: text().notNull(),
  environment: text().notNull(),
  /** Of the value, counted from 1. */
  version: integer().notNull(),
  masked: text().notNull(),
  /** How it was sealed. */
  parameters: text().notNull(),
  salt: blob({ mode: 'buffer' }).notNull(),
  nonce: blob({ mode: 'buffer' }).notNull(),
  ciphertext: blob({ mode: 'buffer' }).notNull(),
  /** The value before, to go back to; all three null when there is none. */
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
  /** The event it speaks of. */
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

/** Tokens of clients that are not supervised; `agent_id` for the role agent only. */
export const apiTokens = sqliteTable('api_tokens', {
  id: text().primaryKey(),
  name: text().notNull(),
  role: text({ enum: ['admin', 'viewer', 'agent'] }).notNull(),
  agent_id: text().$type<AgentId>(),
  /** SHA-256 in hex: 256 random bits need no slower one. */
  hash: text().notNull(),
  created_at: text().notNull(),
  expires_at: text(),
  revoked_at: text(),
  /** Name of whoever made it. */
  created_by: text().notNull(),
})

/** People who sign in with a password. */
export const users = sqliteTable('users', {
  id: text().primaryKey(),
  /** Lower case. */
  username: text().notNull(),
  role: text({ enum: ['admin', 'viewer'] }).notNull(),
  /** Argon2id with its parameters, as PHC text. */
  password_hash: text().notNull(),
  created_at: text().notNull(),
  password_changed_at: text().notNull(),
})

export const sessions = sqliteTable('sessions', {
  id: text().primaryKey(),
  /** Null for the operator, who came by a one-time link. */
  user_id: text(),
  /** SHA-256 in hex of the refresh token that works now. */
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
  /** JSON, as the hash has seen it. */
  details: text().notNull(),
  /** The hash of the row before. */
  previous: blob({ mode: 'buffer' }).notNull(),
  hash: blob({ mode: 'buffer' }).notNull(),
})

export const meta = sqliteTable('meta', {
  key: text().primaryKey(),
  value: text().notNull(),
})
