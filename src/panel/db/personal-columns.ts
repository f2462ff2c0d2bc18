/**
 * The personal content of each column of text, so that an erasure leaves nothing behind. A new column of text needs a
 * place here (test/panel/access/erasure.test.ts):
 *
 * - `text`: people or machines wrote it; whole words of it are erased.
 * - `json`: likewise, in each of its texts and names.
 * - `bound`: other things depend on this very name: it is changed or removed by who rules it, before an erasure.
 * - `plain`: ids, hashes, times, and words of the program itself.
 */
export type Content = 'text' | 'json' | 'bound' | 'plain'

export interface TextTable {
  /** The key of a row. */
  key: readonly string[]
  columns: Readonly<Record<string, Content>>
  /** Amounts that are added up when two rows get the same key. (Default: none; one of the rows is enough.) */
  sums?: readonly string[]
  /** What no two rows may share, when it is not the key: two of them cannot become one. (Default: nothing.) */
  unique?: readonly string[]
}

const plain = (...names: string[]): Record<string, Content> => Object.fromEntries(names.map((name) => [name, 'plain']))

const OWN = plain('id', 'organization_id')
const SPENT = ['calls', 'cost_nanos']

/** In the order in which everybody locks rows: runtimes, then budgets; the audit comes last. */
export const TEXT_TABLES: Readonly<Record<string, TextTable>> = {
  telemetry: {
    key: ['runtime_id'],
    columns: {
      ...plain('runtime_id', 'organization_id', 'journal_id', 'last_at', 'counted_until'),
      snapshot: 'json',
    },
  },
  // PostgreSQL finds the partition by a column that events do not need for identity.
  events: {
    key: ['runtime_id', 'journal_id', 'seq', 'type', 'received_at'],
    columns: {
      ...plain('organization_id', 'runtime_id', 'journal_id', 'at', 'level', 'type'),
      ...{ agent_id: 'text', message: 'text', data: 'json' },
    },
  },
  spending: {
    key: ['runtime_id', 'day', 'model'],
    columns: { ...plain('organization_id', 'runtime_id', 'day'), model: 'text' },
    sums: SPENT,
  },
  agent_names: {
    key: ['runtime_id', 'agent_id'],
    columns: { ...plain('organization_id', 'runtime_id'), agent_id: 'text', name: 'text' },
  },
  agent_spending: {
    key: ['runtime_id', 'day', 'agent'],
    columns: { ...plain('organization_id', 'runtime_id', 'day'), agent: 'text' },
    sums: SPENT,
  },
  spending_alerts: {
    key: ['day', 'scope', 'name'],
    columns: { ...plain('organization_id', 'scope', 'day'), name: 'text' },
  },
  alert_deliveries: {
    key: ['alert_id', 'channel'],
    columns: {
      ...plain('alert_id', 'channel', 'organization_id', 'kind', 'level', 'state'),
      ...{ title: 'text', detail: 'text', error: 'text' },
    },
  },
  // The address itself is sealed.
  alert_webhooks: {
    key: ['id'],
    columns: { ...OWN, ...plain('events', 'nonce', 'ciphertext'), host: 'text', created_by: 'text' },
  },
  runtimes: {
    key: ['id'],
    columns: {
      ...OWN,
      ...plain('path', 'token_hash', 'journal_id', 'opening', 'version'),
      ...{ name: 'text', environments: 'bound' },
    },
  },
  budgets: {
    key: ['id'],
    columns: { ...OWN, ...plain('scope', 'period'), name: 'text' },
    unique: ['organization_id', 'scope', 'name'],
  },
  budget_periods: { key: ['id'], columns: { ...OWN, budget_id: 'plain' } },
  leases: { key: ['id'], columns: { ...OWN, ...plain('runtime_id', 'path', 'state') } },
  transfers: {
    key: ['n'],
    columns: { ...plain('organization_id', 'lease_id', 'kind'), decided_by: 'text', reason: 'text' },
  },
  credentials: {
    key: ['id'],
    columns: {
      ...OWN,
      ...plain('hash', 'kind', 'role', 'path', 'user_id'),
      ...{ name: 'text', created_by: 'text' },
    },
  },
  requests: {
    key: ['id'],
    columns: {
      ...OWN,
      ...plain('scope', 'asked_with', 'state'),
      ...{ name: 'text', reason: 'text', asked_by: 'text', decided_by: 'text', decision: 'text' },
    },
  },
  orders: {
    key: ['id'],
    columns: {
      ...OWN,
      ...plain('runtime_id', 'action', 'state'),
      ...{ agent_id: 'text', ordered_by: 'text', message: 'text' },
    },
  },
  // An account is removed by an admin, which ends what its person has signed in with.
  users: {
    key: ['id'],
    columns: {
      ...OWN,
      ...plain('role', 'password_hash', 'issuer'),
      ...{ username: 'bound', email: 'bound', subject: 'bound' },
    },
  },
  team_members: {
    key: ['organization_id', 'team', 'user_id'],
    columns: { ...plain('organization_id', 'user_id', 'role'), team: 'text' },
  },
  // A value is sealed for its name and place.
  secrets: {
    key: ['id'],
    columns: {
      ...OWN,
      ...plain('masked', 'nonce', 'ciphertext'),
      ...{ name: 'bound', environment: 'bound', agent: 'bound', updated_by: 'text' },
    },
  },
  policies: {
    key: ['organization_id'],
    columns: { organization_id: 'plain', settings: 'bound', environments: 'bound', updated_by: 'text' },
  },
  organizations: { key: ['id'], columns: { ...plain('id', 'audit_hash'), name: 'bound' } },
  audit: {
    key: ['n'],
    columns: {
      ...plain('organization_id', 'action', 'previous', 'hash'),
      ...{ actor: 'text', target: 'text', details: 'json' },
    },
  },
  // For minutes, until a browser comes back.
  sign_in_flows: {
    key: ['hash'],
    columns: plain('hash', 'organization', 'redirect_uri', 'source'),
  },
  sign_in_attempts: { key: ['hash'], columns: { hash: 'plain' } },
  sign_in_failures: { key: ['organization_id'], columns: { organization_id: 'plain' } },
  ledger_meta: { key: ['id'], columns: plain('identity', 'signing_key') },
  panel_meta: { key: ['key'], columns: plain('key', 'value') },
}
