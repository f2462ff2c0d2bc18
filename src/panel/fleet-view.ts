/** What `GET /api/fleet` of a Control Panel answers. Free of Node: the browser uses this file too. */

import type { AgentState, Level, PiiType, SafetyMode } from '../core/events.ts'
import type { Usd } from '../core/money.ts'
import type { OrderAction } from '../protocol/control-messages.ts'

export interface SharedBudgetView {
  scope: 'organization' | 'team' | 'user' | 'agent' | 'token'
  name: string
  /** How often its limit renews, in UTC; null for never. */
  period: 'day' | 'month' | null
  /** When it renews next. */
  ends_at: string | null
  limit_usd: Usd
  settled_usd: Usd
  lent_usd: Usd
  free_usd: Usd
}

export interface LeaseView {
  id: string
  state: 'active' | 'expired' | 'quarantined' | 'closed'
  granted_usd: Usd
  used_usd: Usd
  returned_usd: Usd
  held_usd: Usd
  /** The amount still in escrow. */
  lent_usd: Usd
  expires_at: string
}

/** An agent of a runtime, as far as the runtime has reported. */
export interface FleetAgentView {
  id: string
  name: string
  state: AgentState
  /** The reason for its state, for people. */
  reason: string | null
  started_at: string
  ended_at: string | null
  /** The work that it reports; null without a report. */
  work: { done: number; total: number | null; unit: string } | null
  calls: number
  /** Of the current day or month if its limit has a period. */
  spent_usd: Usd
  limit_usd: Usd
  /** The last one to it; null for none in the last days. */
  order: OrderView | null
}

/** A secret of the organization, without its value. */
export interface CentralSecretView {
  id: string
  name: string
  /** Null for every environment. */
  environment: string | null
  /** The name of the agents that get it; null for all. */
  agent: string | null
  masked: string
  version: number
  created_at: string
  updated_at: string
  updated_by: string
}

/** Settings that every runtime merges into its configuration. */
export interface PolicyView {
  /** Grows with each change; 0 for none yet. */
  revision: number
  /** By section, as in a configuration file; null for none. */
  settings: Readonly<Record<string, unknown>> | null
  /** What holds in addition, by environment. */
  environments: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  updated_at: string | null
  updated_by: string | null
}

/** An admin's order to an agent. */
export interface OrderView {
  id: string
  action: OrderAction
  by: string
  at: string
  /** `pending`: its runtime has not answered yet. */
  state: 'pending' | 'done' | 'failed'
  message: string | null
}

export interface RuntimeView {
  id: string
  name: string
  version: string
  /** Whose secrets it may have. */
  environments: string[]
  state: 'connected' | 'silent' | 'revoked'
  joined_at: string
  last_seen_at: string | null
  /** Time since then. */
  lag_ms: number | null
  lent_usd: Usd
  leases: LeaseView[]
  /** Newest first. */
  agents: FleetAgentView[]
  /** Events that the runtime could not send any more. */
  lost_events: number
}

/** The cost of the calls of one day, by model, team, user or machine. */
export interface FleetSpending {
  /** "2026-01-02", UTC. */
  day: string
  /** Highest first. `name`: '' for what belongs to no team or user. */
  parts: { name: string; calls: number; cost_usd: Usd }[]
}

/** Personal data that was found on a machine. */
export interface FleetIncident {
  at: string
  machine: string
  /** Its name, as far as the machine has reported it. */
  agent: string | null
  type: PiiType
  action: SafetyMode
  place: string
  /** How many like it were found in the same text. */
  count: number
}

/** An agent or user whose spending of a day has left its usual range. */
export interface SpendingAlertView {
  raised_at: string
  scope: 'agent' | 'user'
  name: string
  /** "2026-01-02", UTC. */
  day: string
  /** When the alert was raised. */
  spent_usd: Usd
  /** The median of the days before. */
  usual_usd: Usd
}

export type PanelAlertKind =
  | 'budget.warned'
  | 'spending.unusual'
  | 'lease.quarantined'
  | 'lease.expired'
  | 'request.created'
  | 'sign_in.failed'
  | 'books.broken'

/** An alert that was sent, or is on its way. */
export interface PanelAlertView {
  id: string
  kind: PanelAlertKind | 'test'
  level: Level
  title: string
  detail: string
  at: string
  /** The channels it was delivered to. */
  delivered: string[]
  /** Those that it is on its way to. */
  pending: string[]
  /** The channels that failed for good, and why. */
  failed: { channel: string; error: string }[]
}

/** Where alerts of the organization are sent, set by its admins. */
export interface AlertWebhookView {
  id: string
  host: string
  /** The alerts that it gets; null for all. */
  events: PanelAlertKind[] | null
  created_at: string
  created_by: string
}

/** The erased data of a person. */
export interface ErasureView {
  /** What stands in place of the words now. */
  pseudonym: string
  /** How many rows had them, by table; those without are not listed. */
  rows: Record<string, number>
}

/** A user in a team. */
export interface TeamMemberView {
  team: string
  user_id: string
  username: string
  role: 'member' | 'lead'
}

export interface TeamsView {
  /** Those with a budget, by name. */
  teams: string[]
  members: TeamMemberView[]
}

/** Somebody asks for more of a budget. */
export interface RequestView {
  id: string
  scope: SharedBudgetView['scope']
  name: string
  add_usd: Usd
  reason: string
  asked_by: string
  asked_at: string
  state: 'pending' | 'approved' | 'rejected'
  decided_by: string | null
  decided_at: string | null
  /** The reason of who decided. */
  decision: string | null
}

export interface FleetView {
  organization: string
  /** How many seconds of spending a runtime may hold in advance. */
  cover_s: number
  server_time: string
  /**
   * The panel's database has lost its last commits: nothing is lent until every machine has presented its leases, or until
   * this time. Null as a rule.
   */
  reconciling_until: string | null
  budgets: SharedBudgetView[]
  runtimes: RuntimeView[]
}
