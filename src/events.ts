/**
 * Everything that happens, as data. An event is written to the `events` table first and changes the shared state after
 * (`state/state-manager.ts`); the dashboard receives the same events and runs the same `applyEvent`.
 * Messages and payloads never hold a secret or a personal datum. Free of Node: the browser uses this file too.
 */
import type { AgentId, CallId, RunId } from './id-types.ts'
import type { ConfiguredScope, Usd } from './money.ts'
import type { PiiType } from './pii-types.ts'

export type { PiiType } from './pii-types.ts'

export type Level = 'DEBUG' | 'INFO' | 'OK' | 'WARN' | 'ERROR' | 'CRIT'

export type AgentState =
  | 'starting'
  | 'running'
  | 'paused'
  | 'stopping'
  | 'completed'
  | 'stopped'
  | 'failed'
  | 'crash_loop'
  | 'budget_stopped'
  | 'blocked'

export type CircuitState = 'closed' | 'open' | 'half_open'
export type SafetyMode = 'redact' | 'block' | 'warn'
/** What an alert speaks of. */
export type AlertKind =
  | 'circuit_opened'
  | 'pii_found'
  | 'budget_warning'
  | 'budget_exhausted'
  | 'model_refused'
  | 'crash_loop'
  | 'blocked'
  | 'audit_broken'
  | 'vault_broken'
  | 'restart_required'
  | 'secret_rotated'
  | 'secret_rolled_back'
  | 'test'
export type Outcome = 'succeeded' | 'failed'
/** Where an answer of a service came from: live, cached, placeholder. */
export type Tier = 1 | 2 | 3

/** The payload of each type of event. Money is a decimal string in US dollars; durations carry their unit. */
export interface EventData {
  /** The server listens. */
  'server.started': { version: string; url: string; pid: number }
  /** The server is closing in order. */
  'server.stopped': { reason: string }
  /**
   * Configuration was read; `file` is null when there is none. When it was read again: what changed, what of that holds
   * from now on (`safety`), and what only holds after a restart.
   */
  'config.loaded': {
    file: string | null
    changed?: string[]
    needs_restart?: string[]
    safety?: { mode: SafetyMode; detect: PiiType[] }
  }
  /** Configuration was read again and is wrong: everything stays as it was. */
  'config.refused': { file: string | null; reason: string }

  /** A run of an agent began. The first one carries `restart: 0`. */
  'agent.started': {
    run_id: RunId
    name: string
    script: string
    environment: string
    /** Null for a client that is not supervised. */
    pid: number | null
    restart: number
    limit_usd: Usd
    safety_mode: SafetyMode
    /** What is detected, so that the screen can say "not monitored" for the rest. */
    detect: PiiType[]
    /** The walls around it; left out for a client that is not supervised. */
    sandbox?: SandboxView
    /** Shares of the limit at which is warned. (Default: 0.9.) */
    warn_at?: number[]
  }
  /** The process ended. `state` is what that makes of the agent; 'starting' when it will be started again. */
  'agent.exited': {
    run_id: RunId
    exit_code: number | null
    signal: string | null
    state: AgentState
    reason: string
    restart_in_ms: number | null
  }
  /**
   * The agent's processes were asked to end; `reason`: who wanted it, 'exit' for those that its own exit left behind.
   * A second one follows when processes survived even SIGKILL, and names them.
   */
  'agent.stopped': { reason: 'operator' | 'budget' | 'pii' | 'shutdown' | 'exit'; survivors: number[] }
  'agent.paused': { by: string }
  'agent.resumed': { by: string }
  /** The agent connected to a provider directly: such calls pass by its budget and by redaction. */
  'agent.bypassed': { provider: string; target: string; count: number }
  /** The walls around an agent refused what it tried. `target`: a host with its port, or a path. */
  'sandbox.denied': { action: SandboxAction; target: string; count: number }
  /** What was not refused, but is reported: a connection past the gateway, at level observe also files. */
  'sandbox.observed': { action: SandboxAction; target: string; count: number }
  /** The agent left a file that other programs read and obey, as a git hook; it was moved aside when the agent had ended. */
  'sandbox.planted': { path: string; moved_to: string }
  /** One line the agent printed, or a message of its own with facts, after redaction. */
  'agent.output': { stream: 'stdout' | 'stderr'; text: string; truncated?: true; facts?: Record<string, unknown> }

  /** The agent said how far it is. */
  'progress.updated': { done: number; total: number | null; unit: string; label: string | null }
  /** The agent finished one unit of its work. `degraded`: a fallback was used on the way. */
  'unit.completed': {
    outcome: Outcome
    degraded: boolean
    unit: string
    label: string | null
    latency_ms: number | null
    reason: string | null
  }

  /** An LLM call ended and was charged. `estimated`: the provider did not say what it used. */
  'call.completed': {
    call_id: CallId
    provider: string
    model: string
    stream: boolean
    input_tokens: number
    cached_input_tokens: number
    output_tokens: number
    cost_usd: Usd
    estimated: boolean
    latency_ms: number
    /** How long of that it waited because the provider had asked for it (Retry-After). */
    waited_ms?: number
    first_byte_ms: number | null
    status: number
    redactions: number
    /** What the same call would have cost on the model the agent used before it downgraded. */
    baseline_usd: Usd | null
    /** The run whose budget paid, too. Left out where runs have none, here and below. */
    run_id?: RunId
  }
  /** A call that did not say how much it wants, or more than any model gives, was limited. `asked_tokens`: null when it did not. */
  'call.clamped': {
    call_id: CallId
    provider: string
    model: string
    asked_tokens: number | null
    max_tokens: number
  }
  /** An LLM call ended without a complete answer. `cost_usd` is what was charged all the same. */
  'call.failed': {
    call_id: CallId
    provider: string
    model: string
    code: string
    status: number
    cost_usd: Usd
    estimated: boolean
    latency_ms: number
    waited_ms?: number
    retryable: boolean
    /** Which circuit refused it; nothing was sent then. */
    circuit?: string
    /** Another model is asked instead. */
    falls_back?: true
    run_id?: RunId
  }

  /**
   * A call was refused before any money was held for it. `calls`: how many equal ones within a minute, when it is said once
   * more; `model` is null where none was read.
   */
  'call.refused': {
    call_id: CallId
    provider: string
    model: string | null
    code: string
    status: number
    calls: number
  }
  /** A model charged much more than was held for a call; nothing more is sent to it until an admin trusts it. */
  'model.refused': {
    /** "provider/model". */
    name: string
    provider: string
    model: string
    call_id: CallId
    agent_id: AgentId
    /** What the call could cost within the limits that it was sent with. */
    bound_usd: Usd
    /** What the provider says it costs; what was charged stands in the ledger. */
    claimed_usd: Usd
  }
  /** An admin trusts a model, or all models of a provider, to obey the limits that they are sent. */
  'model.trusted': { name: string; by: string }

  /** A service was called (or its circuit answered for it). */
  'service.called': {
    call_id: CallId
    service: string
    ok: boolean
    status: number
    tier: Tier | null
    /** The circuit was open: nothing was sent. */
    blocked: boolean
    cost_usd: Usd
    /** What a blocked call would have cost. */
    saved_usd: Usd
    latency_ms: number
    run_id?: RunId
  }
  /** A lower tier answered for a service, or another model for the one of a provider that was asked. */
  'fallback.used': { service: string; tier: Tier; why: string }

  /**
   * `failures` in a row, or `of` so many calls. `by`: who opened it until it is reset; there is no cooldown then, and no
   * trip.
   */
  'circuit.opened': {
    circuit: string
    failures: number
    of?: number
    cooldown_ms: number
    reason: string
    tier: Tier | null
    by?: string
  }
  'circuit.half_opened': { circuit: string }
  'circuit.closed': { circuit: string; by: 'probe' | 'operator' }

  /** Spending passed a warning threshold (once per limit and period). `budget` is left out for the agent's own. */
  'budget.warned': {
    budget?: ConfiguredScope
    spent_usd: Usd
    limit_usd: Usd
    threshold: number
    used_percent: number
    suggested_increase_usd: Usd
  }
  /** Nothing more can be paid: at 100 %, or a call that does not fit any more. `budget` as above. */
  'budget.exhausted': { budget?: ConfiguredScope; spent_usd: Usd; limit_usd: Usd; needed_usd: Usd | null }
  /** A limit is another one, higher or lower. `budget` as above; the run's is that of every run. */
  'budget.raised': { budget?: ConfiguredScope; from_usd: Usd; limit_usd: Usd; by: string }
  /** A server begins, and these limits hold beside the agents' own; null where there is none. */
  'budget.opened': { server: BudgetView | null; run_limit_usd: Usd | null }
  /**
   * The limit counts from here: a day or a month has begun. `spent_before_usd`: all that was spent until then. Without
   * an agent it is the server's.
   */
  'budget.period_began': BudgetPeriod
  /** A call costs something else than was charged; a row of the ledger holds the difference. `model`: null for services. */
  'call.corrected': {
    call_id: CallId
    correction_id: CallId
    target: string
    model: string | null
    cost_usd: Usd
    difference_usd: Usd
    /** When the call was charged: the difference belongs to the same period. */
    charged_at: string
    reason: string
    by: string
    run_id?: RunId
  }
  /** A call that a killed server left open was charged or released by a person. */
  'call.resolved': {
    call_id: CallId
    target: string
    model: string | null
    outcome: 'charged' | 'released'
    held_usd: Usd
    cost_usd: Usd
    by: string
  }

  /** Personal data of one type was found in one text. Never the value. */
  'pii.found': {
    incident_id: string
    pii_type: PiiType
    risk: 'HIGH' | 'MEDIUM'
    action: SafetyMode
    /** Where: a reply, tool arguments, a line of output. */
    place: 'reply' | 'tool_arguments' | 'request' | 'output' | 'log'
    call_id: CallId | null
    value_hash: string
    start: number
    end: number
    /** The unit of work the agent was at, when it said so. */
    unit: string | null
    /** How many there were, when more than one: the fields above are of the first. */
    count?: number
    /** How many of them have an incident; the others were only counted. */
    incidents?: number
  }

  /** The vault can be used from now on: the master key is right. */
  'vault.opened': { secrets: SecretListed[] }
  /** Whoever started this program still has the master key in its environment, where agents can read it. */
  'vault.exposed': { pids: number[] }
  /** The vault stays shut; everything else works. */
  'vault.locked': { why: 'no_key' | 'weak_key' | 'wrong_key' | 'broken'; hint: string; secrets: SecretListed[] }
  /** A row of the vault is not as it was written, was put back from the past, or is gone. */
  'vault.broken': { problem: string; secret_id: string | null }
  'secret.created': SecretFacts
  /** Its value was given out: to an admin, or to an agent of its environment. */
  'secret.read': SecretFacts
  /** It has a new value. */
  'secret.updated': SecretFacts
  'secret.deleted': SecretFacts
  'secret.restored': SecretFacts
  /** Every running agent of its environment has the new value, or was given up. */
  'secret.rotated': { name: string; environment: string; reloaded: number; restart_required: number }
  /** An agent said that it has the new value. */
  'secret.reloaded': { name: string; environment: string; latency_ms: number }
  /** An agent goes on with the value before, and gets the new one when it is started again. */
  'secret.reload_failed': { name: string; environment: string; reason: 'does_not_listen' | 'no_answer' }
  /** A provider refused a new key and accepted the one before, which is the present one again. */
  'secret.rolled_back': { name: string; environment: string }
  /** An agent started without the secrets of its environment, for the vault was locked. */
  'secret.withheld': { environment: string; secrets: number }

  /** Something a person should see. `source_seq`: the event it speaks of. */
  'alert.raised': {
    alert_id: string
    kind: AlertKind
    title: string
    detail: string
    budget?: ConfiguredScope
    /** The circuit it speaks of, if any. */
    circuit?: string
    source_seq: number
  }
  /** Somebody wanted to see whether alerts arrive. */
  'alert.tested': { by: string }
  'alert.acknowledged': { alert_id: string; by: string }
  'alert.delivered': { alert_id: string; channel: string; latency_ms: number }
  'alert.failed': { alert_id: string; channel: string; error: string }

  /** `role` and `actor`: who it was, as far as that was proved. `count`: how many it sums up. (Default: 1.) */
  'auth.failed': {
    reason: string
    route: string
    role?: 'admin' | 'viewer' | 'agent'
    actor?: string
    count?: number
  }

  /** Rows of the audit were edited or removed. `row`: the first bad one, when it is about one. */
  'audit.broken': { problem: string; row: number | null }
}

export type SandboxLevel = 'off' | 'observe' | 'standard' | 'strict'
export type SandboxAction = 'connect' | 'read' | 'write'

/** The walls around a run of an agent. */
export interface SandboxView {
  level: SandboxLevel
  /** Only listed places can be connected to. */
  limited: boolean
  /** Why there are none, or what they leave open that they could close elsewhere. */
  why: string | null
}

/** The day or month that a limit is for, and all that was spent before it. */
export interface BudgetPeriod {
  starts_at: string
  ends_at: string
  spent_before_usd: Usd
}

/** A limit and what counts against it. */
export interface BudgetView {
  limit_usd: Usd
  /** Ever. */
  spent_usd: Usd
  /** Null when the limit is for ever. */
  period: BudgetPeriod | null
}

/** A secret in a list of all, also of those that can be restored. */
export interface SecretListed {
  id: string
  name: string
  environment: string
  version: number
  /** First letters and last two, when it is long enough. */
  masked: string
  created_at: string
  updated_at: string
  /** When it got its present value; null while that is its first. */
  rotated_at: string | null
  deleted_at: string | null
}

/** A secret as everyone may see it. */
export interface SecretFacts {
  secret_id: string
  name: string
  environment: string
  /** Of the value, counted from 1. */
  version: number
  /** First letters and last two, when it is long enough. */
  masked: string
}

export type EventType = keyof EventData

/** One event, as stored, sent and shown. */
export type RuntimeEvent = {
  [T in EventType]: {
    /** Position in the one order of events; gapless within a database. */
    seq: number
    /** ISO 8601 UTC. */
    at: string
    agent_id: AgentId | null
    level: Level
    type: T
    /** One line for people. */
    message: string
    data: EventData[T]
  }
}[EventType]

export type EventOf<T extends EventType> = Extract<RuntimeEvent, { type: T }>

/** What a part hands to `StateManager.record`; the manager adds `seq` and `at`. */
export type NewEvent = {
  [T in EventType]: { type: T; level: Level; message: string; agent_id?: AgentId | null; data: EventData[T] }
}[EventType]
