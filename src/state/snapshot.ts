/**
 * Everything the dashboard shows, at one `seq`. It is a pure function of the events before it (`apply-event.ts`), so
 * the server, a restarted server and the browser all have the same one. Plain JSON. Free of Node.
 */
import type {
  AgentState,
  BudgetPeriod,
  BudgetView,
  CircuitState,
  Level,
  PiiType,
  RuntimeEvent,
  SafetyMode,
  SandboxView,
  SecretListed,
} from '../core/events.ts'
import type { AgentId, RunId } from '../core/id-types.ts'
import type { NamedScope, Usd } from '../core/money.ts'
import type { Histogram } from './histogram.ts'

export interface Snapshot {
  /** The last event included; 0 without one. */
  seq: number
  /** When that event happened, ISO 8601 UTC. */
  at: string | null
  /** The running server; null after an orderly shutdown. */
  server: { version: string; url: string; started_at: string } | null
  /** The limit of all agents together; null without a limit. */
  server_budget: BudgetView | null
  /** The limit of each run; null without a limit. */
  run_limit_usd: Usd | null
  /** By agent id, oldest first; at most MAX_AGENTS. */
  agents: Record<string, AgentView>
  /** By the name of the provider or service. */
  circuits: Record<string, CircuitView>
  /** Events that need attention, newest first; at most MAX_ALERTS. */
  alerts: AlertView[]
  /** `hint`: how to open a locked vault. */
  vault: { state: 'open'; hint: null } | { state: 'locked'; hint: string }
  /** By id, without their values. */
  secrets: Record<string, SecretListed>
  /** The last MAX_RECENT_EVENTS events, oldest first; agents' messages without their data. All: GET /api/events. */
  recent: RuntimeEvent[]
}

export interface AgentView {
  id: AgentId
  name: string
  script: string
  environment: string
  state: AgentState
  /** The reason for its state, for people. */
  reason: string | null
  run_id: RunId
  pid: number | null
  exit_code: number | null
  signal: string | null
  restarts: number
  started_at: string
  paused_at: string | null
  ended_at: string | null
  /** Time between a crash and the next start, for the uptime share. */
  down_ms: number
  /** Its pauses that have ended, which are neither latency nor working time; absent without any. */
  pauses?: Pauses | undefined
  safety_mode: SafetyMode
  detect: PiiType[]
  /** Its sandbox; null for an unsupervised client. */
  sandbox: SandboxView | null
  /** The strategy that it is deployed with; absent for one that is not. */
  strategy?: string | undefined
  /** What its cost is grouped by in reports; absent without any. */
  tags?: Readonly<Record<string, string>> | undefined
  /** Its refused attempts, and how often it connected to a provider directly. */
  unauthorized: { denied: number; bypassed: number; last: string | null }
  /** Shares of the limit at which a warning is raised. */
  warn_at: number[]

  limit_usd: Usd
  /** In its whole life. */
  spent_usd: Usd
  /** By its current or last run, if runs have a budget. */
  run_spent_usd: Usd
  /** Null when the limit never resets. */
  period: BudgetPeriod | null
  warned: boolean
  exhausted: boolean
  by_model: Record<string, ModelView>
  by_service: Record<string, ServiceView>
  /** The savings of calls on cheaper models against the baseline model. */
  downgraded_saved_usd: Usd
  /**
   * Spending over the work done, or over payments if no progress is reported; at most MAX_BURN_POINTS, evenly spaced.
   */
  burn: BurnPoint[]

  progress: {
    done: number
    total: number | null
    unit: string
    label: string | null
    first_at: string
    last_at: string
  } | null
  outcomes: { succeeded: number; failed: number; degraded: number }
  calls: { completed: number; failed: number }
  call_latency: Histogram
  unit_latency: Histogram

  pii: Partial<Record<PiiType, number>>
  last_pii: { pii_type: PiiType; action: SafetyMode; at: string; unit: string | null } | null
}

export interface Pauses {
  total_ms: number
  last: { from: string; to: string }
}

export interface ModelView {
  calls: number
  cost_usd: Usd
  input_tokens: number
  output_tokens: number
}

export interface ServiceView {
  calls: number
  cost_usd: Usd
  live: number
  cached: number
  placeholder: number
  failed: number
  blocked: number
  saved_usd: Usd
}

export interface CircuitView {
  name: string
  state: CircuitState
  opened_at: string | null
  cooldown_ms: number
  /** Opened by a person, until a person resets it. */
  forced: boolean
  trips: number
  /** Kept when it closes. */
  last_trip_at: string | null
  blocked: number
  saved_usd: Usd
  /** How often a fallback answered, and how often nothing did, without a live reply. */
  fallbacks: number
  unanswered: number
  reason: string | null
}

export interface AlertView {
  id: string
  kind: string
  level: Level
  title: string
  detail: string
  at: string
  agent_id: AgentId | null
  /** The budget it concerns, unless it is the agent's own. */
  budget: NamedScope | null
  /** The circuit it concerns, if any. */
  circuit: string | null
  /** An agent's request; absent without one. */
  request?: AlertRequest | undefined
  source_seq: number
  acknowledged: boolean
  /** The channels it was delivered to. */
  delivered: string[]
  /** The channels that failed for good, and why. */
  failed: { channel: string; error: string }[]
}

/** An agent's request for more of its budget. A raise approves it; an acknowledgment without one rejects it. */
export interface AlertRequest {
  id: string
  add_usd: Usd
  reason: string
  state: 'pending' | 'approved' | 'rejected'
}

export interface BurnPoint {
  at: string
  done: number
  spent_usd: Usd
}

/** The script of an agent that is a client with an API token, without a process. */
export const CLIENT_SCRIPT = '(API token)'

export const isClient = ({ script }: Pick<AgentView, 'script'>): boolean => script === CLIENT_SCRIPT

export const MAX_AGENTS = 50
export const MAX_ALERTS = 50
export const MAX_RECENT_EVENTS = 200
export const MAX_BURN_POINTS = 240
export const MAX_CIRCUITS = 500
/** Models of one agent; further ones are counted as OTHER. The ledger has them all. */
export const MAX_MODELS = 100
export const OTHER = 'other'

export const emptySnapshot = (): Snapshot => ({
  seq: 0,
  at: null,
  server: null,
  server_budget: null,
  run_limit_usd: null,
  agents: {},
  circuits: {},
  alerts: [],
  vault: {
    state: 'locked',
    hint: 'make a key with "iron-cage keygen --out master.key", set IRON_CAGE_MASTER_KEY_FILE=master.key and start again',
  },
  secrets: {},
  recent: [],
})
