/**
 * The tables of a panel, forward only: never edit a migration that has shipped. Panels that start at once take turns.
 *
 * During an update panels of two versions use one database, and an operator may go back to the version before: a
 * migration adds, and what nothing uses any more is taken away a release later. The database records from which version
 * on a panel may use it.
 */
import { randomBytes } from 'node:crypto'
import { CageError } from '../../core/errors.ts'
import type { Dialect, Sql } from './database.ts'
import { partitionEvents } from './partition-migration.ts'

/** Any number that no other program uses in this database: "iron". */
const LOCK = 0x69726f6e

export async function migrate(sql: Sql, dialect: Dialect): Promise<void> {
  if (dialect.kind === 'postgres') await sql.rows(`SELECT pg_advisory_xact_lock(${LOCK})`)
  await sql.rows('CREATE TABLE IF NOT EXISTS panel_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)')
  const schema = await readSchema(sql)
  if (schema.version >= MIGRATIONS.length) return requireUsable(schema)
  for (const statements of MIGRATIONS.slice(schema.version)) {
    for (const statement of statements(dialect)) await sql.rows(statement)
  }
  for (const [key, value] of Object.entries({ version: MIGRATIONS.length, oldest: OLDEST })) {
    await sql.rows(
      'INSERT INTO panel_meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
      [key, String(value)],
    )
  }
}

/** How many migrations the tables of a database have, and how many a panel must know to work with them. */
export interface Schema {
  version: number
  oldest: number
}

/** Rejects where there are no tables of a panel. */
export async function readSchema(sql: Sql): Promise<Schema> {
  const rows = await sql.rows<{ key: string; value: string }>(
    "SELECT key, value FROM panel_meta WHERE key IN ('version', 'oldest')",
  )
  const { version = 0, oldest = version } = Object.fromEntries(rows.map(({ key, value }) => [key, Number(value)]))
  return { version, oldest }
}

/** Throws CageError `database_unusable` for tables that lack something, or that a newer version took something from. */
export function requireUsable({ version, oldest }: Schema): void {
  const known = MIGRATIONS.length
  if (version < known) {
    throw new CageError('database_unusable', `this database has version ${version} of ${known}`, {
      hint: 'start a panel of this version, which migrates it',
    })
  }
  if (version > known && oldest > known) {
    throw new CageError(
      'database_unusable',
      `a newer Iron Cage wrote this database (version ${version}, this one knows ${known})`,
      { hint: 'update Iron Cage' },
    )
  }
}

/** Panels that know at least so many migrations work with the tables of all. To be raised by one that takes away. */
export const OLDEST = 8

const MIGRATIONS: readonly ((dialect: Dialect) => string[])[] = [
  ({ serial }) => [
    `CREATE TABLE organizations (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_at BIGINT NOT NULL)`,
    `CREATE TABLE budgets (
      id TEXT PRIMARY KEY,
      organization_id TEXT NOT NULL REFERENCES organizations,
      scope TEXT NOT NULL CHECK (scope IN ('organization', 'team', 'user')),
      name TEXT NOT NULL,
      limit_nanos BIGINT NOT NULL CHECK (limit_nanos >= 0),
      settled_nanos BIGINT NOT NULL DEFAULT 0 CHECK (settled_nanos >= 0),
      escrow_nanos BIGINT NOT NULL DEFAULT 0 CHECK (escrow_nanos >= 0),
      scarce_until BIGINT NOT NULL DEFAULT 0,
      UNIQUE (organization_id, scope, name)
    )`,
    `CREATE TABLE runtimes (
      id TEXT PRIMARY KEY,
      organization_id TEXT NOT NULL REFERENCES organizations,
      name TEXT NOT NULL,
      path TEXT NOT NULL,
      token_hash TEXT NOT NULL UNIQUE,
      journal_id TEXT,
      epoch BIGINT NOT NULL DEFAULT 0,
      version TEXT NOT NULL,
      joined_at BIGINT NOT NULL,
      last_seen_at BIGINT,
      revoked_at BIGINT
    )`,
    `CREATE TABLE leases (
      id TEXT PRIMARY KEY,
      organization_id TEXT NOT NULL REFERENCES organizations,
      runtime_id TEXT NOT NULL REFERENCES runtimes,
      path TEXT NOT NULL,
      granted_nanos BIGINT NOT NULL CHECK (granted_nanos > 0),
      used_nanos BIGINT NOT NULL CHECK (used_nanos >= 0),
      returned_nanos BIGINT NOT NULL CHECK (returned_nanos >= 0),
      held_nanos BIGINT NOT NULL CHECK (held_nanos >= 0),
      state TEXT NOT NULL CHECK (state IN ('active', 'expired', 'quarantined', 'closed')),
      expires_at BIGINT NOT NULL
    )`,
    `CREATE INDEX leases_open ON leases (runtime_id) WHERE state <> 'closed'`,
    `CREATE TABLE transfers (
      n ${serial},
      at BIGINT NOT NULL,
      organization_id TEXT NOT NULL REFERENCES organizations,
      lease_id TEXT NOT NULL REFERENCES leases,
      kind TEXT NOT NULL CHECK (kind IN ('granted', 'charged', 'returned', 'overrun', 'presumed', 'released')),
      amount_nanos BIGINT NOT NULL CHECK (amount_nanos > 0),
      decided_by TEXT,
      reason TEXT
    )`,
    `CREATE INDEX transfers_lease ON transfers (lease_id)`,
    `CREATE TABLE credentials (
      hash TEXT PRIMARY KEY,
      id TEXT NOT NULL UNIQUE,
      organization_id TEXT NOT NULL REFERENCES organizations,
      kind TEXT NOT NULL CHECK (kind IN ('token', 'code', 'session', 'invitation')),
      role TEXT NOT NULL CHECK (role IN ('admin', 'viewer', 'runtime')),
      name TEXT NOT NULL,
      path TEXT,
      created_at BIGINT NOT NULL,
      expires_at BIGINT,
      ended_at BIGINT
    )`,
    `CREATE TABLE audit (
      n ${serial},
      at BIGINT NOT NULL,
      organization_id TEXT NOT NULL REFERENCES organizations,
      actor TEXT NOT NULL,
      action TEXT NOT NULL,
      target TEXT NOT NULL,
      details TEXT NOT NULL
    )`,
  ],
  // What people did before this migration stays, without a place in the chain.
  ({ ownRows }) => [
    'ALTER TABLE organizations ADD COLUMN audit_seq BIGINT NOT NULL DEFAULT 0',
    'ALTER TABLE organizations ADD COLUMN audit_hash TEXT',
    'ALTER TABLE audit ADD COLUMN seq BIGINT',
    'ALTER TABLE audit ADD COLUMN previous TEXT',
    'ALTER TABLE audit ADD COLUMN hash TEXT',
    'CREATE UNIQUE INDEX audit_seq ON audit (organization_id, seq)',
    ...ownRows('organizations', 'id'),
    ...['budgets', 'runtimes', 'leases', 'transfers', 'credentials', 'audit'].flatMap((table) =>
      ownRows(table, 'organization_id'),
    ),
  ],
  ({ ownRows }) => [
    `CREATE TABLE telemetry (
      runtime_id TEXT PRIMARY KEY REFERENCES runtimes,
      organization_id TEXT NOT NULL REFERENCES organizations,
      journal_id TEXT NOT NULL,
      acked_seq BIGINT NOT NULL DEFAULT 0,
      lost BIGINT NOT NULL DEFAULT 0,
      snapshot TEXT,
      folded_seq BIGINT NOT NULL DEFAULT 0
    )`,
    `CREATE TABLE events (
      organization_id TEXT NOT NULL,
      runtime_id TEXT NOT NULL,
      journal_id TEXT NOT NULL,
      seq BIGINT NOT NULL,
      at TEXT NOT NULL,
      received_at BIGINT NOT NULL,
      agent_id TEXT,
      level TEXT NOT NULL,
      type TEXT NOT NULL,
      message TEXT NOT NULL,
      data TEXT NOT NULL,
      PRIMARY KEY (runtime_id, journal_id, seq)
    )`,
    'CREATE INDEX events_received ON events (received_at)',
    ...ownRows('telemetry', 'organization_id'),
    ...ownRows('events', 'organization_id'),
  ],
  ({ ownRows }) => [
    `CREATE TABLE requests (
      id TEXT PRIMARY KEY,
      organization_id TEXT NOT NULL REFERENCES organizations,
      scope TEXT NOT NULL CHECK (scope IN ('organization', 'team', 'user')),
      name TEXT NOT NULL,
      amount_nanos BIGINT NOT NULL CHECK (amount_nanos > 0),
      reason TEXT NOT NULL,
      asked_by TEXT NOT NULL,
      asked_with TEXT NOT NULL,
      asked_at BIGINT NOT NULL,
      state TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'rejected')),
      decided_by TEXT,
      decided_at BIGINT,
      decision TEXT
    )`,
    'CREATE INDEX requests_organization ON requests (organization_id, asked_at)',
    ...ownRows('requests', 'organization_id'),
  ],
  // Spending outlasts the events that it is made of; incidents are found by time.
  ({ ownRows }) => [
    `CREATE TABLE spending (
      organization_id TEXT NOT NULL REFERENCES organizations,
      runtime_id TEXT NOT NULL REFERENCES runtimes,
      day TEXT NOT NULL,
      model TEXT NOT NULL,
      calls BIGINT NOT NULL,
      cost_nanos BIGINT NOT NULL,
      PRIMARY KEY (runtime_id, day, model)
    )`,
    'CREATE INDEX spending_day ON spending (organization_id, day)',
    'ALTER TABLE telemetry ADD COLUMN last_at TEXT',
    'ALTER TABLE telemetry ADD COLUMN counted_until TEXT',
    `CREATE INDEX events_found ON events (organization_id, at) WHERE type = 'pii.found'`,
    ...ownRows('spending', 'organization_id'),
  ],
  ({ ownRows }) => [
    `CREATE TABLE orders (
      id TEXT PRIMARY KEY,
      organization_id TEXT NOT NULL REFERENCES organizations,
      runtime_id TEXT NOT NULL REFERENCES runtimes,
      agent_id TEXT NOT NULL,
      action TEXT NOT NULL CHECK (action IN ('stop', 'pause', 'resume')),
      ordered_by TEXT NOT NULL,
      ordered_at BIGINT NOT NULL,
      state TEXT NOT NULL CHECK (state IN ('pending', 'done', 'failed', 'replaced')),
      answered_at BIGINT,
      message TEXT
    )`,
    'CREATE INDEX orders_organization ON orders (organization_id, ordered_at)',
    ...ownRows('orders', 'organization_id'),
  ],
  // Budgets of agents and tokens, budgets that renew, and how long runtimes may spend their leases.
  (dialect) => [
    ...withScopes(dialect, 'budgets', BUDGETS_WITH_SCOPES),
    ...withScopes(dialect, 'requests', REQUESTS_WITH_SCOPES),
    'CREATE INDEX IF NOT EXISTS requests_organization ON requests (organization_id, asked_at)',
    "ALTER TABLE budgets ADD COLUMN period TEXT CHECK (period IN ('day', 'month'))",
    `CREATE TABLE budget_periods (
      id TEXT PRIMARY KEY,
      budget_id TEXT NOT NULL REFERENCES budgets,
      organization_id TEXT NOT NULL REFERENCES organizations,
      ends_at BIGINT NOT NULL,
      settled_nanos BIGINT NOT NULL CHECK (settled_nanos >= 0),
      escrow_nanos BIGINT NOT NULL CHECK (escrow_nanos >= 0),
      scarce_until BIGINT NOT NULL
    )`,
    'CREATE INDEX budget_periods_budget ON budget_periods (budget_id, ends_at)',
    'ALTER TABLE organizations ADD COLUMN cover_s BIGINT NOT NULL DEFAULT 10',
    'ALTER TABLE organizations ADD COLUMN budgets_version BIGINT NOT NULL DEFAULT 0',
    ...dialect.ownRows('budget_periods', 'organization_id'),
  ],
  // Codes, sessions and tokens of a person end with the person.
  ({ ownRows }) => [
    `CREATE TABLE users (
      id TEXT PRIMARY KEY,
      organization_id TEXT NOT NULL REFERENCES organizations,
      username TEXT NOT NULL,
      role TEXT NOT NULL CHECK (role IN ('admin', 'viewer')),
      password_hash TEXT NOT NULL,
      created_at BIGINT NOT NULL,
      password_changed_at BIGINT NOT NULL,
      UNIQUE (organization_id, username)
    )`,
    'ALTER TABLE credentials ADD COLUMN user_id TEXT',
    'ALTER TABLE credentials ADD COLUMN created_by TEXT',
    'CREATE INDEX credentials_user ON credentials (user_id) WHERE ended_at IS NULL',
    ...ownRows('users', 'organization_id'),
  ],
  ({ ownRows }) => [
    `CREATE TABLE secrets (
      id TEXT PRIMARY KEY,
      organization_id TEXT NOT NULL REFERENCES organizations,
      name TEXT NOT NULL,
      environment TEXT NOT NULL,
      agent TEXT NOT NULL,
      version BIGINT NOT NULL,
      masked TEXT NOT NULL,
      nonce TEXT NOT NULL,
      ciphertext TEXT NOT NULL,
      created_at BIGINT NOT NULL,
      updated_at BIGINT NOT NULL,
      updated_by TEXT NOT NULL,
      UNIQUE (organization_id, name, environment, agent)
    )`,
    "ALTER TABLE runtimes ADD COLUMN environments TEXT NOT NULL DEFAULT '[]'",
    ...ownRows('secrets', 'organization_id'),
  ],
  ({ ownRows }) => [
    `CREATE TABLE policies (
      organization_id TEXT PRIMARY KEY REFERENCES organizations,
      revision BIGINT NOT NULL,
      settings TEXT,
      updated_at BIGINT NOT NULL,
      updated_by TEXT NOT NULL
    )`,
    ...ownRows('policies', 'organization_id'),
  ],
  // Which database the books are in, and the key of their signatures (`generation-store.ts`).
  ({ identity }) => [
    `CREATE TABLE ledger_meta (
      id BIGINT PRIMARY KEY CHECK (id = 1),
      identity TEXT NOT NULL,
      generation BIGINT NOT NULL,
      reconciling_until BIGINT NOT NULL,
      longest_ttl_ms BIGINT NOT NULL,
      signing_key TEXT NOT NULL
    )`,
    `INSERT INTO ledger_meta VALUES (1, ${identity}, 0, 0, 0, '${randomBytes(32).toString('hex')}')`,
    'ALTER TABLE runtimes ADD COLUMN generation BIGINT NOT NULL DEFAULT 0',
  ],
  // People who sign in at an identity provider, and sign-ins there that have begun.
  () => [
    'ALTER TABLE users ADD COLUMN email TEXT',
    'ALTER TABLE users ADD COLUMN issuer TEXT',
    'ALTER TABLE users ADD COLUMN subject TEXT',
    'CREATE UNIQUE INDEX users_email ON users (organization_id, email)',
    'CREATE UNIQUE INDEX users_subject ON users (organization_id, issuer, subject)',
    `CREATE TABLE sign_in_flows (
      hash TEXT PRIMARY KEY,
      organization TEXT NOT NULL,
      redirect_uri TEXT NOT NULL,
      source TEXT NOT NULL,
      expires_at BIGINT NOT NULL,
      ended_at BIGINT
    )`,
    'CREATE INDEX sign_in_flows_source ON sign_in_flows (source)',
  ],
  // States that were folded before an erasure count no more.
  () => ['ALTER TABLE telemetry ADD COLUMN erasures BIGINT NOT NULL DEFAULT 0'],
  // How far the events of each ledger went to a collector (`export-store.ts`). `stored_seq`: its last one, once it was replaced.
  ({ ownRows }) => [
    `CREATE TABLE exports (
      runtime_id TEXT NOT NULL REFERENCES runtimes,
      organization_id TEXT NOT NULL REFERENCES organizations,
      journal_id TEXT NOT NULL,
      exported_seq BIGINT NOT NULL DEFAULT 0,
      exported_at BIGINT NOT NULL DEFAULT 0,
      stored_seq BIGINT,
      runs TEXT,
      lost BIGINT NOT NULL DEFAULT 0,
      erasures BIGINT NOT NULL DEFAULT 0,
      PRIMARY KEY (runtime_id, journal_id)
    )`,
    ...ownRows('exports', 'organization_id'),
  ],
  // Attempts to sign in, which all processes of the panel count together, and failed ones that await their row in the audit.
  ({ ownRows }) => [
    `CREATE TABLE sign_in_attempts (
      hash TEXT PRIMARY KEY,
      count BIGINT NOT NULL,
      at BIGINT NOT NULL,
      keep_until BIGINT NOT NULL
    )`,
    `CREATE TABLE sign_in_failures (
      organization_id TEXT PRIMARY KEY REFERENCES organizations,
      count BIGINT NOT NULL,
      since BIGINT NOT NULL
    )`,
    ...ownRows('sign_in_failures', 'organization_id'),
  ],
  ({ ownRows }) => [
    `CREATE TABLE team_members (
      organization_id TEXT NOT NULL REFERENCES organizations,
      team TEXT NOT NULL,
      user_id TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
      role TEXT NOT NULL CHECK (role IN ('member', 'lead')),
      PRIMARY KEY (organization_id, team, user_id)
    )`,
    'CREATE INDEX team_members_user ON team_members (user_id)',
    ...ownRows('team_members', 'organization_id'),
  ],
  ({ ownRows }) => [
    `CREATE TABLE agent_names (
      organization_id TEXT NOT NULL REFERENCES organizations,
      runtime_id TEXT NOT NULL REFERENCES runtimes,
      agent_id TEXT NOT NULL,
      name TEXT NOT NULL,
      started_at BIGINT NOT NULL,
      PRIMARY KEY (runtime_id, agent_id)
    )`,
    `CREATE TABLE agent_spending (
      organization_id TEXT NOT NULL REFERENCES organizations,
      runtime_id TEXT NOT NULL REFERENCES runtimes,
      day TEXT NOT NULL,
      agent TEXT NOT NULL,
      calls BIGINT NOT NULL,
      cost_nanos BIGINT NOT NULL,
      PRIMARY KEY (runtime_id, day, agent)
    )`,
    'CREATE INDEX agent_spending_day ON agent_spending (organization_id, day)',
    `CREATE TABLE spending_alerts (
      organization_id TEXT NOT NULL REFERENCES organizations,
      scope TEXT NOT NULL CHECK (scope IN ('agent', 'user')),
      name TEXT NOT NULL,
      day TEXT NOT NULL,
      raised_at BIGINT NOT NULL,
      cost_nanos BIGINT NOT NULL,
      usual_nanos BIGINT NOT NULL,
      PRIMARY KEY (organization_id, day, scope, name)
    )`,
    ...['agent_names', 'agent_spending', 'spending_alerts'].flatMap((table) => ownRows(table, 'organization_id')),
  ],
  () => ["ALTER TABLE policies ADD COLUMN environments TEXT NOT NULL DEFAULT '{}'"],
  // Alerts, and how far each is on its way to each place that it is sent to. `alert_id` follows from the alert's
  // subject.
  ({ ownRows }) => [
    `CREATE TABLE alert_deliveries (
      alert_id TEXT NOT NULL,
      channel TEXT NOT NULL,
      organization_id TEXT NOT NULL REFERENCES organizations,
      kind TEXT NOT NULL,
      level TEXT NOT NULL,
      title TEXT NOT NULL,
      detail TEXT NOT NULL,
      raised_at BIGINT NOT NULL,
      state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
      attempts BIGINT NOT NULL,
      due_at BIGINT NOT NULL,
      PRIMARY KEY (alert_id, channel)
    )`,
    `CREATE INDEX alert_deliveries_due ON alert_deliveries (due_at) WHERE state = 'pending'`,
    ...ownRows('alert_deliveries', 'organization_id'),
  ],
  ({ ownRows }) => [
    `CREATE TABLE alert_webhooks (
      id TEXT PRIMARY KEY,
      organization_id TEXT NOT NULL REFERENCES organizations,
      host TEXT NOT NULL,
      events TEXT,
      nonce TEXT NOT NULL,
      ciphertext TEXT NOT NULL,
      created_at BIGINT NOT NULL,
      created_by TEXT NOT NULL
    )`,
    'CREATE INDEX alert_webhooks_organization ON alert_webhooks (organization_id)',
    'ALTER TABLE alert_deliveries ADD COLUMN error TEXT',
    'CREATE INDEX alert_deliveries_organization ON alert_deliveries (organization_id)',
    ...ownRows('alert_webhooks', 'organization_id'),
  ],
  (dialect) => (dialect.kind === 'postgres' ? partitionEvents(dialect) : []),
  () => [
    'ALTER TABLE runtimes ADD COLUMN opening TEXT',
    'ALTER TABLE runtimes ADD COLUMN heard_at BIGINT NOT NULL DEFAULT 0',
  ],
]

const SCOPES = "CHECK (scope IN ('organization', 'team', 'user', 'agent', 'token'))"

/** SQLite cannot change a check: the table is written again. */
const withScopes = ({ kind }: Dialect, table: string, columns: string): string[] =>
  kind === 'postgres'
    ? [`ALTER TABLE ${table} DROP CONSTRAINT ${table}_scope_check, ADD CONSTRAINT ${table}_scope_check ${SCOPES}`]
    : [
        `CREATE TABLE ${table}_new (${columns})`,
        `INSERT INTO ${table}_new SELECT * FROM ${table}`,
        `DROP TABLE ${table}`,
        `ALTER TABLE ${table}_new RENAME TO ${table}`,
      ]

const BUDGETS_WITH_SCOPES = `
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL REFERENCES organizations,
  scope TEXT NOT NULL ${SCOPES},
  name TEXT NOT NULL,
  limit_nanos BIGINT NOT NULL CHECK (limit_nanos >= 0),
  settled_nanos BIGINT NOT NULL DEFAULT 0 CHECK (settled_nanos >= 0),
  escrow_nanos BIGINT NOT NULL DEFAULT 0 CHECK (escrow_nanos >= 0),
  scarce_until BIGINT NOT NULL DEFAULT 0,
  UNIQUE (organization_id, scope, name)`

const REQUESTS_WITH_SCOPES = `
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL REFERENCES organizations,
  scope TEXT NOT NULL ${SCOPES},
  name TEXT NOT NULL,
  amount_nanos BIGINT NOT NULL CHECK (amount_nanos > 0),
  reason TEXT NOT NULL,
  asked_by TEXT NOT NULL,
  asked_with TEXT NOT NULL,
  asked_at BIGINT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'rejected')),
  decided_by TEXT,
  decided_at BIGINT,
  decision TEXT`
