/** The tables of a panel, as its first migration makes them. */
import { randomBytes } from 'node:crypto'
import type { Dialect } from './database.ts'

const SCOPE = "scope TEXT NOT NULL CHECK (scope IN ('organization', 'team', 'user', 'agent', 'token'))"

const MONEY = ({ serial }: Dialect): string[] => [
  `CREATE TABLE organizations (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    audit_seq BIGINT NOT NULL DEFAULT 0,
    audit_hash TEXT,
    cover_s BIGINT NOT NULL DEFAULT 10,
    budgets_version BIGINT NOT NULL DEFAULT 0
  )`,
  `CREATE TABLE budgets (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations,
    ${SCOPE},
    name TEXT NOT NULL,
    limit_nanos BIGINT NOT NULL CHECK (limit_nanos >= 0),
    settled_nanos BIGINT NOT NULL DEFAULT 0 CHECK (settled_nanos >= 0),
    escrow_nanos BIGINT NOT NULL DEFAULT 0 CHECK (escrow_nanos >= 0),
    scarce_until BIGINT NOT NULL DEFAULT 0,
    period TEXT CHECK (period IN ('day', 'month')),
    UNIQUE (organization_id, scope, name)
  )`,
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
    revoked_at BIGINT,
    environments TEXT NOT NULL DEFAULT '[]',
    generation BIGINT NOT NULL DEFAULT 0,
    opening TEXT,
    heard_at BIGINT NOT NULL DEFAULT 0
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
  'CREATE INDEX transfers_lease ON transfers (lease_id)',
  `CREATE TABLE requests (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations,
    ${SCOPE},
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
]

/** Which database the books are in, and the key of their signatures (`generation-store.ts`). */
const BOOKS = ({ identity }: Dialect): string[] => [
  `CREATE TABLE ledger_meta (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    identity TEXT NOT NULL,
    generation BIGINT NOT NULL,
    reconciling_until BIGINT NOT NULL,
    longest_ttl_ms BIGINT NOT NULL,
    signing_key TEXT NOT NULL
  )`,
  `INSERT INTO ledger_meta VALUES (1, ${identity}, 0, 0, 0, '${randomBytes(32).toString('hex')}')`,
]

const ACCESS = ({ serial }: Dialect): string[] => [
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
    ended_at BIGINT,
    user_id TEXT,
    created_by TEXT
  )`,
  'CREATE INDEX credentials_user ON credentials (user_id) WHERE ended_at IS NULL',
  `CREATE TABLE audit (
    n ${serial},
    at BIGINT NOT NULL,
    organization_id TEXT NOT NULL REFERENCES organizations,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    details TEXT NOT NULL,
    seq BIGINT,
    previous TEXT,
    hash TEXT
  )`,
  'CREATE UNIQUE INDEX audit_seq ON audit (organization_id, seq)',
  `CREATE TABLE users (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations,
    username TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('admin', 'viewer')),
    password_hash TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    password_changed_at BIGINT NOT NULL,
    email TEXT,
    issuer TEXT,
    subject TEXT,
    UNIQUE (organization_id, username)
  )`,
  'CREATE UNIQUE INDEX users_email ON users (organization_id, email)',
  'CREATE UNIQUE INDEX users_subject ON users (organization_id, issuer, subject)',
  `CREATE TABLE team_members (
    organization_id TEXT NOT NULL REFERENCES organizations,
    team TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    role TEXT NOT NULL CHECK (role IN ('member', 'lead')),
    PRIMARY KEY (organization_id, team, user_id)
  )`,
  'CREATE INDEX team_members_user ON team_members (user_id)',
  // Sign-ins at an identity provider that have begun.
  `CREATE TABLE sign_in_flows (
    hash TEXT PRIMARY KEY,
    organization TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    source TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at BIGINT
  )`,
  'CREATE INDEX sign_in_flows_source ON sign_in_flows (source)',
  // Attempts, which all processes of the panel count together, and failed ones that await their row in the audit.
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
]

const CONTROL: readonly string[] = [
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
  `CREATE TABLE policies (
    organization_id TEXT PRIMARY KEY REFERENCES organizations,
    revision BIGINT NOT NULL,
    settings TEXT,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL,
    environments TEXT NOT NULL DEFAULT '{}'
  )`,
]

/** Spending outlasts the events that it is made of. */
const TELEMETRY: readonly string[] = [
  `CREATE TABLE telemetry (
    runtime_id TEXT PRIMARY KEY REFERENCES runtimes,
    organization_id TEXT NOT NULL REFERENCES organizations,
    journal_id TEXT NOT NULL,
    acked_seq BIGINT NOT NULL DEFAULT 0,
    lost BIGINT NOT NULL DEFAULT 0,
    snapshot TEXT,
    folded_seq BIGINT NOT NULL DEFAULT 0,
    last_at TEXT,
    counted_until TEXT,
    erasures BIGINT NOT NULL DEFAULT 0
  )`,
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
]

const EVENT = `
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
  data TEXT NOT NULL`
const EVENT_KEY = 'PRIMARY KEY (runtime_id, journal_id, seq)'

/** On PostgreSQL in partitions, which `event-partitions.ts` makes and drops. */
const EVENTS = ({ kind }: Dialect): string[] =>
  kind === 'sqlite'
    ? [
        `CREATE TABLE events (${EVENT}, ${EVENT_KEY})`,
        'CREATE INDEX events_received ON events (received_at)',
        `CREATE INDEX events_found ON events (organization_id, at) WHERE type = 'pii.found'`,
      ]
    : [
        `CREATE TABLE events (${EVENT}) PARTITION BY LIST (type)`,
        'CREATE TABLE events_daily PARTITION OF events DEFAULT PARTITION BY RANGE (received_at)',
        `CREATE TABLE incidents PARTITION OF events FOR VALUES IN ('pii.found') PARTITION BY RANGE (received_at)`,
        'CREATE INDEX incidents_at ON incidents (organization_id, at)',
        ...['events_daily', 'incidents'].flatMap((table) => [
          `CREATE TABLE ${table}_default PARTITION OF ${table} (${EVENT_KEY}) DEFAULT`,
          `CREATE INDEX ${table}_default_received ON ${table}_default (received_at)`,
        ]),
      ]

const ALERTS: readonly string[] = [
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
  // How far each alert is on its way to each place that it is sent to. `alert_id` follows from the alert's subject.
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
    error TEXT,
    PRIMARY KEY (alert_id, channel)
  )`,
  `CREATE INDEX alert_deliveries_due ON alert_deliveries (due_at) WHERE state = 'pending'`,
  'CREATE INDEX alert_deliveries_organization ON alert_deliveries (organization_id)',
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
]

/** Tables whose rows belong to one organization, beside `organizations`. */
const OF_ORGANIZATIONS = [
  ...['budgets', 'budget_periods', 'runtimes', 'leases', 'transfers', 'requests'],
  ...['credentials', 'audit', 'users', 'team_members', 'sign_in_failures'],
  ...['orders', 'secrets', 'policies'],
  ...['telemetry', 'spending', 'agent_names', 'agent_spending'],
  ...['events', 'events_daily', 'events_daily_default', 'incidents', 'incidents_default'],
  ...['spending_alerts', 'alert_deliveries', 'alert_webhooks'],
]

export const firstSchema = (dialect: Dialect): string[] => [
  ...MONEY(dialect),
  ...BOOKS(dialect),
  ...ACCESS(dialect),
  ...CONTROL,
  ...TELEMETRY,
  ...EVENTS(dialect),
  ...ALERTS,
  ...dialect.ownRows('organizations', 'id'),
  ...OF_ORGANIZATIONS.flatMap((table) => dialect.ownRows(table, 'organization_id')),
]
