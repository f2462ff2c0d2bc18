/** What happened over days, as the API answers it. Free of Node. */
import type { AgentState } from '../core/events.ts'
import type { AgentId } from '../core/id-types.ts'
import type { Usd } from '../core/money.ts'

/** An agent's result; of all agents ever started. */
export interface HistoryRow {
  id: AgentId
  name: string
  script: string
  state: AgentState
  reason: string | null
  started_at: string
  ended_at: string | null
  spent_usd: Usd
  limit_usd: Usd
  restarts: number
  calls_completed: number
  calls_failed: number
}

/** The cost of the calls of one day. */
export interface DaySpending {
  /** "2026-01-02", UTC. */
  day: string
  models: { name: string; calls: number; cost_usd: Usd }[]
}
