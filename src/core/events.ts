/**
 * Everything that happens, as data. An event is written to the `events` table first and changes the shared state after
 * (`state/state-manager.ts`); the dashboard receives the same events and runs the same `applyEvent`.
 * Messages and data never contain a secret or personal data. Free of Node: the browser uses this file too.
 */
import type { OrderAction } from '../protocol/control-messages.ts'
import type { AgentId, CallId, RunId } from './id-types.ts'
import type { ConfiguredScope, NamedScope, Usd } from './money.ts'
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
/** The subject of an alert. */
export type AlertKind =
  | 'circuit_opened'
  | 'pii_found'
  | 'budget_warning'
  | 'budget_exhausted'
  | 'budget_requested'
  | 'model_refused'
  | 'loop_detected'
  | 'crash_loop'
  | 'blocked'
  | 'audit_broken'
  | 'vault_broken'
  | 'restart_required'
  | 'secret_rotated'
  | 'secret_rolled_back'
  | 'test'
export type Outcome = 'succeeded' | 'failed'
/** The source of a service's reply: live, cached, placeholder. */
export type Tier = 1 | 2 | 3

/** A span of OpenTelemetry about an agent's own work. */
export interface ReceivedSpan {
  /** 32 hexadecimal digits; those of its parent and itself are 16. */
  trace_id: string
  span_id: string
  /** Null for a root. */
  parent_id: string | null
  name: string
  /** ISO 8601 UTC. */
  started_at: string
  ended_at: string
  failed: boolean
  /** A few that name the kind of work, and a claim of its cost. */
  attributes: ReceivedAttributes
}

export type ReceivedAttributes = Record<string, string | number | boolean>

/** One request of a call that sent several. */
export interface AttemptView {
  /** Since the call began. */
  after_ms: number
  /** Until it failed, or its answer began. */
  latency_ms: number
  /** Null without a response. */
  status: number | null
  /** Why it is no answer; null for one. */
  reason: string | null
}

/** The data of each type of event. Money is a decimal string in US dollars; durations carry their unit. */
export interface EventData {
  /** The server listens. */
  'server.started': { version: string; url: string; pid: number }
  /** The Control Panel answers: shared budgets can be spent. */
  'panel.connected': { url: string }
  /** It does not, or not as expected: leases can still be spent for a while. `code`: of the error. */
  'panel.lost': { url: string; code: string; reason: string }
  /** The Control Panel does not know what this machine spent of leases: they wait for an admin. `count`: of them. */
  'lease.quarantined': { url: string; count: number }
  /** The server is shutting down in order. */
  'server.stopped': { reason: string }
  /**
   * The configuration was read; `file` is null without one. After a reload: what changed, which changes apply
   * immediately (`safety`), and which need a restart.
   */
  'config.loaded': {
    file: string | null
    changed?: string[]
    needs_restart?: string[]
    safety?: { mode: SafetyMode; detect: PiiType[] }
  }
  /** A reload found an invalid configuration: nothing changed. */
  'config.refused': { file: string | null; reason: string }

  /** A run of an agent started. The first one has `restart: 0`. */
  'agent.started': {
    run_id: RunId
    name: string
    script: string
    environment: string
    /** Null for an unsupervised client. */
    pid: number | null
    restart: number
    limit_usd: Usd
    safety_mode: SafetyMode
    /** The detected types, so that the screen can show "not monitored" for the others. */
    detect: PiiType[]
    /** Its sandbox; left out for an unsupervised client. */
    sandbox?: SandboxView
    /** The strategy that it is deployed with; left out for one that is not. */
    strategy?: string
    /** What its cost is grouped by in reports; left out without any. */
    tags?: Readonly<Record<string, string>>
    /** Shares of the limit at which a warning is raised. (Default: 0.9.) */
    warn_at?: number[]
  }
  /** The process ended. `state` is the agent's state after it; 'starting' when it will be restarted. */
  'agent.exited': {
    run_id: RunId
    exit_code: number | null
    signal: string | null
    state: AgentState
    reason: string
    restart_in_ms: number | null
  }
  /**
   * The agent's processes were asked to end; `reason`: who stopped it, 'exit' for processes left after its own exit.
   * A second event follows when processes survived SIGKILL, and names them.
   */
  'agent.stopped': { reason: 'operator' | 'budget' | 'pii' | 'shutdown' | 'exit'; survivors: number[] }
  /** An admin of the Control Panel ordered it; `result`: what became of the agent, or why nothing did. */
  'agent.ordered': { order_id: string; action: OrderAction; by: string; ok: boolean; result: string }
  'agent.paused': { by: string }
  'agent.resumed': { by: string }
  /** The agent connected to a provider directly: such calls bypass its budget and redaction. */
  'agent.bypassed': { provider: string; target: string; count: number }
  /** An agent's sandbox refused something. `target`: a host with its port, or a path. */
  'sandbox.denied': { action: SandboxAction; target: string; count: number }
  /** Reported but not refused: a connection past the gateway, and at level observe also files. */
  'sandbox.observed': { action: SandboxAction; target: string; count: number }
  /**
   * The agent left a file that other programs would load or run, such as a git hook; it was moved aside when the agent
   * ended.
   */
  'sandbox.planted': { path: string; moved_to: string }
  /**
   * The agent connected to a destination outside; `count`: times since the last event for it. `kind`: what answered, with
   * its `name`, or a tunnel whose bytes were not read. `road`: a sandbox redirected it, or its program uses the proxy.
   */
  'egress.allowed': {
    host: string
    port: number
    kind: 'provider' | 'service' | 'tunnel'
    name: string | null
    /** It has an address of a private network or of this machine. */
    is_private?: true
    /** False where nothing is enforced, and nothing lists it. */
    is_listed: boolean
    road: 'redirect' | 'proxy'
    count: number
  }
  /** The agent was refused a destination; `reason`: the code of the error. */
  'egress.denied': { host: string; port: number; reason: string; count: number }
  /** One line of the agent's output, or a message from its code with data, after redaction. */
  'agent.output': { stream: 'stdout' | 'stderr'; text: string; truncated?: true; facts?: Record<string, unknown> }

  /** The agent traced its own work with OpenTelemetry: one span, as it sent it. */
  'agent.traced': ReceivedSpan

  /** The agent reported its progress. */
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

  /** An LLM call ended and was charged. `estimated`: the provider did not report usage. */
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
    /** The part of it spent waiting because the provider asked for it (Retry-After). */
    waited_ms?: number
    /** The first requests that were sent for it, in order; left out if it was one. So below. */
    attempts?: AttemptView[]
    first_byte_ms: number | null
    status: number
    redactions: number
    /** The cost of the same call on the model that the agent used before its downgrade. */
    baseline_usd: Usd | null
    /** The run, if its budget paid as well. Left out where runs have no budget, here and below. */
    run_id?: RunId
    /** When its money was held, if that was before the current period of the limit: it counts there. So below. */
    held_at?: string
    /** It was made again, or is: the first of the calls that were made for the one request. So below. */
    first_call_id?: CallId
    /** The client's own trace (W3C Trace Context); left out without one, here and below. */
    traceparent?: string
  }
  /**
   * A call without an output limit, or with one above any model's maximum, was limited. `asked_tokens`: null without
   * one. `was_cut`: the answer, with its reasoning, ended at that limit.
   */
  'call.clamped': {
    call_id: CallId
    provider: string
    model: string
    asked_tokens: number | null
    max_tokens: number
    was_cut?: true
  }
  /**
   * An agent goes round in circles: the same call, or a tool called with the same arguments (`tool`; null for a call).
   * Once per repetition; `action`: what happens to such calls.
   */
  'loop.detected': {
    call_id: CallId
    provider: string
    model: string
    tool: string | null
    times: number
    action: 'report' | 'refuse'
  }
  /** An LLM call ended without a complete reply. `cost_usd` was charged all the same. */
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
    attempts?: AttemptView[]
    retryable: boolean
    /** The circuit that refused it; nothing was sent then. */
    circuit?: string
    /** The call is sent to another model instead. */
    falls_back?: true
    run_id?: RunId
    held_at?: string
    first_call_id?: CallId
    traceparent?: string
  }
  /**
   * A request for which several calls were made, each held and charged by itself, has ended. `call_id`: of the first
   * one; `model`: the requested one; `code`: of the error that was the answer.
   */
  'call.retried': {
    call_id: CallId
    provider: string
    model: string
    calls: number
    code: string | null
    status: number
    latency_ms: number
    traceparent?: string
  }

  /**
   * A call was refused before any money was held for it. `calls`: how many equal ones within a minute, when repeated;
   * `model` is null when none was read.
   */
  'call.refused': {
    call_id: CallId
    provider: string
    model: string | null
    code: string
    status: number
    calls: number
    /** What to do next. (Default: nothing; absent in older events.) */
    hint?: string
    traceparent?: string
  }
  /** A model cost much more than was held for a call; nothing more is sent to it until an admin trusts it. */
  'model.refused': {
    /** "provider/model". */
    name: string
    provider: string
    model: string
    call_id: CallId
    agent_id: AgentId
    /** The maximum cost of the call within the limits that were sent with it. */
    bound_usd: Usd
    /** The cost reported by the provider; the ledger has the charge. */
    claimed_usd: Usd
  }
  /** An admin trusts a model, or all models of a provider, to respect the limits of calls. */
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
    /** How the request came: by the address of the gateway, a proxy, or a sandbox that redirects. (Default: url.) */
    via?: 'proxy' | 'redirect'
    /** Something was to be redacted whose type is not read. */
    uninspected?: true
    /** The cost that a blocked call would have had. */
    saved_usd: Usd
    latency_ms: number
    attempts?: AttemptView[]
    run_id?: RunId
    held_at?: string
    traceparent?: string
  }
  /** A lower tier answered for a service, or another model for the requested one. */
  'fallback.used': { service: string; tier: Tier; why: string }

  /**
   * `failures` in a row, or out of `of` calls. `by`: who opened it until a reset; then there is no cooldown and no
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
  /** Nothing more can be paid: at 100%, or for a call that does not fit. `budget` as above. */
  'budget.exhausted': {
    budget?: NamedScope
    spent_usd: Usd
    limit_usd: Usd
    needed_usd: Usd | null
    /** How long calls wait for a raise; left out when they are refused. */
    waits_s?: number
  }
  /** An agent asks for more, which a person decides. `budget` as above. */
  'budget.requested': { request_id: string; budget?: ConfiguredScope; add_usd: Usd; reason: string }
  /** A limit was raised or lowered. `budget` as above; a run's limit is that of every run. */
  'budget.raised': { budget?: ConfiguredScope; from_usd: Usd; limit_usd: Usd; by: string }
  /** A server started with these limits in addition to the agents' own; null without one. */
  'budget.opened': { server: BudgetView | null; run_limit_usd: Usd | null }
  /**
   * The limit counts from here: a day or a month has begun. `spent_before_usd`: all spending until then. Without an
   * agent it is the server's.
   */
  'budget.period_began': BudgetPeriod
  /** The cost of a call was corrected; a row of the ledger holds the difference. `model`: null for services. */
  'call.corrected': {
    call_id: CallId
    correction_id: CallId
    target: string
    model: string | null
    cost_usd: Usd
    difference_usd: Usd
    /** When the money of the call was held: the difference belongs to the same period. */
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
    held_at?: string
  }

  /** Personal data of one type was found in one text. Never contains the value. */
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
    /** The current unit of work, if the agent reported it. */
    unit: string | null
    /** Number of findings if more than one: the fields above describe the first. */
    count?: number
    /** How many of them have an incident; the others were only counted. */
    incidents?: number
  }

  /** The vault is open: the master key is right. */
  'vault.opened': { secrets: SecretListed[] }
  /** The process that started this program still has the master key in its environment, where agents can read it. */
  'vault.exposed': { pids: number[] }
  /** The vault stays locked; everything else works. */
  'vault.locked': { why: 'no_key' | 'weak_key' | 'wrong_key' | 'broken'; hint: string; secrets: SecretListed[] }
  /** A row of the vault was changed, replaced by an older one, or removed. */
  'vault.broken': { problem: string; secret_id: string | null }
  'secret.created': SecretFacts
  /** The value was given out: to an admin, or to an agent of its environment. */
  'secret.read': SecretFacts
  /** It has a new value. */
  'secret.updated': SecretFacts
  /** The Control Panel gave another value to agents of this machine. */
  'secret.received': { name: string; environment: string; version: number }
  'secret.deleted': SecretFacts
  'secret.restored': SecretFacts
  /** Every running agent of its environment has the new value, or timed out. */
  'secret.rotated': { name: string; environment: string; reloaded: number; restart_required: number }
  /** An agent confirmed the new value. */
  'secret.reloaded': { name: string; environment: string; latency_ms: number }
  /** An agent still uses the previous value, and gets the new one when it is restarted. */
  'secret.reload_failed': { name: string; environment: string; reason: 'does_not_listen' | 'no_answer' }
  /** A provider refused a new key and accepted the previous one, which is the current one again. */
  'secret.rolled_back': { name: string; environment: string }
  /**
   * An agent started without the secrets of its environment: the vault was locked, or, with `secrets: 0`, the Control Panel
   * did not answer.
   */
  'secret.withheld': { environment: string; secrets: number }

  /** Something that needs attention. `source_seq`: the event that caused it. */
  'alert.raised': {
    alert_id: string
    kind: AlertKind
    title: string
    detail: string
    budget?: NamedScope
    /** The circuit it concerns, if any. */
    circuit?: string
    /** An agent's request; left out without one. */
    request?: { id: string; add_usd: Usd; reason: string }
    source_seq: number
  }
  /** A person sent a test alert. */
  'alert.tested': { by: string }
  'alert.acknowledged': { alert_id: string; by: string }
  'alert.delivered': { alert_id: string; channel: string; latency_ms: number }
  'alert.failed': { alert_id: string; channel: string; error: string }

  /** `role` and `actor`: the caller, if authenticated. `count`: how many refusals it sums up. (Default: 1.) */
  'auth.failed': {
    reason: string
    route: string
    role?: 'admin' | 'viewer' | 'agent'
    actor?: string
    count?: number
  }

  /** Rows of the audit were edited or removed. `row`: the first bad one, if it is about one. */
  'audit.broken': { problem: string; row: number | null }
}

export type SandboxLevel = 'off' | 'observe' | 'standard' | 'strict'
export type SandboxAction = 'connect' | 'read' | 'write'

/** The sandbox of an agent's run. */
export interface SandboxView {
  level: SandboxLevel
  /** Only listed places can be connected to. */
  limited: boolean
  /** Why there is none, or the gap that it could close elsewhere. */
  why: string | null
}

/** The period of a limit, and all spending before it. */
export interface BudgetPeriod {
  starts_at: string
  ends_at: string
  spent_before_usd: Usd
}

/** A limit and the spending that counts toward it. */
export interface BudgetView {
  limit_usd: Usd
  /** In total. */
  spent_usd: Usd
  /** Null when the limit never resets. */
  period: BudgetPeriod | null
}

/** A secret in a list, including those that can be restored. */
export interface SecretListed {
  id: string
  name: string
  environment: string
  version: number
  /** The first four characters and the last two, if it is long enough. */
  masked: string
  created_at: string
  updated_at: string
  /** When it got its current value; null for its first. */
  rotated_at: string | null
  deleted_at: string | null
}

/** A secret as everyone may see it. */
export interface SecretFacts {
  secret_id: string
  name: string
  environment: string
  /** Version of the value, counted from 1. */
  version: number
  /** The first four characters and the last two, if it is long enough. */
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

/** The argument of `StateManager.record`; the manager adds `seq` and `at`. */
export type NewEvent = {
  [T in EventType]: { type: T; level: Level; message: string; agent_id?: AgentId | null; data: EventData[T] }
}[EventType]
