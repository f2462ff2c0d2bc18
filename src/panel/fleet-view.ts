/** What `GET /api/fleet` of a Control Panel answers. Free of Node: the browser uses this file too. */
import type { Usd } from '../money.ts'

export interface SharedBudgetView {
  scope: 'organization' | 'team' | 'user'
  name: string
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
  /** What is still in escrow. */
  lent_usd: Usd
  expires_at: string
}

export interface RuntimeView {
  id: string
  name: string
  version: string
  state: 'connected' | 'silent' | 'revoked'
  joined_at: string
  last_seen_at: string | null
  /** Time since then. */
  lag_ms: number | null
  lent_usd: Usd
  leases: LeaseView[]
}

export interface FleetView {
  organization: string
  server_time: string
  budgets: SharedBudgetView[]
  runtimes: RuntimeView[]
}
