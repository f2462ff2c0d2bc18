/**
 * What each column of text may say of a person, so that an erasure leaves nothing behind. A new column of text needs a place
 * here (test/panel/erasure.test.ts):
 *
 * - `text`: people or machines wrote it; whole words of it are erased.
 * - `json`: likewise, in each of its texts and names.
 * - `bound`: other things depend on this very name: it is changed or removed by who rules it, before an erasure.
 * - `plain`: ids, hashes, times, and words of the program itself.
 */
export type Content = 'text' | 'json' | 'bound' | 'plain'

export interface TextTable {
  /** What a row is found by. */
  key: readonly string[]
  columns: Readonly<Record<string, Content>>
}

const OWN = { id: 'plain', organization_id: 'plain' } as const

/** In the order in which everybody locks rows: runtimes, then budgets; the audit comes last. */
export const TEXT_TABLES: Readonly<Record<string, TextTable>> = {
  telemetry: {
    key: ['runtime_id'],
    columns: {
      ...{
        runtime_id: 'plain',
        organization_id: 'plain',
        journal_id: 'plain',
        last_at: 'plain',
        counted_until: 'plain',
      },
      snapshot: 'json',
    },
  },
  events: {
    key: ['runtime_id', 'journal_id', 'seq'],
    columns: {
      ...{
        organization_id: 'plain',
        runtime_id: 'plain',
        journal_id: 'plain',
        at: 'plain',
        level: 'plain',
        type: 'plain',
      },
      ...{ agent_id: 'text', message: 'text', data: 'json' },
    },
  },
  exports: {
    key: ['runtime_id', 'journal_id'],
    columns: { runtime_id: 'plain', organization_id: 'plain', journal_id: 'plain', runs: 'json' },
  },
  spending: {
    key: ['runtime_id', 'day', 'model'],
    columns: { organization_id: 'plain', runtime_id: 'plain', day: 'plain', model: 'text' },
  },
  agent_names: {
    key: ['runtime_id', 'agent_id'],
    columns: { organization_id: 'plain', runtime_id: 'plain', agent_id: 'text', name: 'text' },
  },
  agent_spending: {
    key: ['runtime_id', 'day', 'agent'],
    columns: { organization_id: 'plain', runtime_id: 'plain', day: 'plain', agent: 'text' },
  },
  spending_alerts: {
    key: ['day', 'scope', 'name'],
    columns: { organization_id: 'plain', scope: 'plain', day: 'plain', name: 'text' },
  },
  runtimes: {
    key: ['id'],
    columns: {
      ...{ ...OWN, path: 'plain', token_hash: 'plain', journal_id: 'plain', version: 'plain' },
      ...{ name: 'text', environments: 'bound' },
    },
  },
  budgets: { key: ['id'], columns: { ...OWN, scope: 'plain', period: 'plain', name: 'text' } },
  budget_periods: { key: ['id'], columns: { ...OWN, budget_id: 'plain' } },
  leases: { key: ['id'], columns: { ...OWN, runtime_id: 'plain', path: 'plain', state: 'plain' } },
  transfers: {
    key: ['n'],
    columns: { organization_id: 'plain', lease_id: 'plain', kind: 'plain', decided_by: 'text', reason: 'text' },
  },
  credentials: {
    key: ['id'],
    columns: {
      ...{ ...OWN, hash: 'plain', kind: 'plain', role: 'plain', path: 'plain', user_id: 'plain' },
      ...{ name: 'text', created_by: 'text' },
    },
  },
  requests: {
    key: ['id'],
    columns: {
      ...{ ...OWN, scope: 'plain', asked_with: 'plain', state: 'plain' },
      ...{ name: 'text', reason: 'text', asked_by: 'text', decided_by: 'text', decision: 'text' },
    },
  },
  orders: {
    key: ['id'],
    columns: {
      ...{ ...OWN, runtime_id: 'plain', action: 'plain', state: 'plain' },
      ...{ agent_id: 'text', ordered_by: 'text', message: 'text' },
    },
  },
  // An account is removed by an admin, which ends what its person has signed in with.
  users: {
    key: ['id'],
    columns: {
      ...{ ...OWN, role: 'plain', password_hash: 'plain', issuer: 'plain' },
      ...{ username: 'bound', email: 'bound', subject: 'bound' },
    },
  },
  team_members: {
    key: ['organization_id', 'team', 'user_id'],
    columns: { organization_id: 'plain', user_id: 'plain', role: 'plain', team: 'text' },
  },
  // A value is sealed for its name and place.
  secrets: {
    key: ['id'],
    columns: {
      ...{ ...OWN, masked: 'plain', nonce: 'plain', ciphertext: 'plain' },
      ...{ name: 'bound', environment: 'bound', agent: 'bound', updated_by: 'text' },
    },
  },
  policies: {
    key: ['organization_id'],
    columns: { organization_id: 'plain', settings: 'bound', updated_by: 'text' },
  },
  organizations: { key: ['id'], columns: { id: 'plain', audit_hash: 'plain', name: 'bound' } },
  audit: {
    key: ['n'],
    columns: {
      ...{ organization_id: 'plain', action: 'plain', previous: 'plain', hash: 'plain' },
      ...{ actor: 'text', target: 'text', details: 'json' },
    },
  },
  // For minutes, until a browser comes back.
  sign_in_flows: {
    key: ['hash'],
    columns: { hash: 'plain', organization: 'plain', redirect_uri: 'plain', source: 'plain' },
  },
  sign_in_attempts: { key: ['hash'], columns: { hash: 'plain' } },
  sign_in_failures: { key: ['organization_id'], columns: { organization_id: 'plain' } },
  ledger_meta: { key: ['id'], columns: { identity: 'plain', signing_key: 'plain' } },
  panel_meta: { key: ['key'], columns: { key: 'plain', value: 'plain' } },
}
