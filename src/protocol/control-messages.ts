/**
 * The requests of a Control Panel to a runtime, which fetches all of them again after each change, so that none is
 * missed; and the requests of agents there.
 */
import type { Usd } from '../core/money.ts'

/** An admin's order to an agent of another machine. */
export interface Order {
  id: string
  agent_id: string
  action: OrderAction
  /** Who gave it. */
  by: string
}

export type OrderAction = 'stop' | 'pause' | 'resume'

export interface ControlState {
  /** Those that the runtime has not answered, oldest first. */
  orders: Order[]
  /** Differs after each change of a limit of its shared budgets. */
  limits: string
  /** Differs after each change of the secrets that it may have; empty for none. */
  secrets: string
  /** Null until the organization has one. */
  policy: PolicyState | null
}

/** The policy of an organization, as one runtime gets it. Settings are by section, as in a configuration file. */
export interface PolicyState {
  /** Grows with each change. */
  revision: number
  /** Null since it was cleared. */
  settings: PolicySettings | null
  /** What holds in addition, by environment: of those whose secrets the runtime may have. */
  environments: Readonly<Record<string, PolicySettings>>
}

type PolicySettings = Readonly<Record<string, unknown>>

/** A secret that a panel gives to a runtime. */
export interface CentralSecret {
  name: string
  version: number
  value: string
  /** The name of the agents that get it; null for all. */
  agent: string | null
}

/** `revision` differs from that of any other state. */
export type ControlAnswer = ControlState & { revision: string }

/** How an order ended. `message`: what became of the agent, or why nothing did. */
export interface OrderOutcome {
  ok: boolean
  message: string
}

/** An agent's request for more of a budget, and what became of it. */
export interface AgentRequest {
  id: string
  /** Such as "team research". */
  budget: string
  add_usd: Usd
  reason: string
  asked_at: string
  state: 'pending' | 'approved' | 'rejected'
  /** The reason of who decided; null without one. */
  decision: string | null
}
