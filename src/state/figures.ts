/**
 * The figures of agents, circuits and budgets, each derived in one place, as numbers; `figures-text.ts` words them. Free
 * of Node.
 */
import type { BudgetView } from '../core/events.ts'
import {
  add,
  addUsd,
  type BudgetScope,
  fromUsd,
  MAX_NANOS,
  max,
  min,
  nanodollars,
  subtract,
  toUsd,
  type Usd,
  ZERO_NANOS,
  ZERO_USD,
} from '../core/money.ts'
import { percentile } from './histogram.ts'
import type { AgentView, BurnPoint, CircuitView, Snapshot } from './snapshot.ts'

/** How many of the last units a projection uses. */
const PROJECTION_WINDOW = 10

export interface Figures {
  /** The work that the agent reports; null without a report. */
  work: { done: number; total: number | null; unit: string } | null
  /** Share of the work done, 0–100; null without a total. */
  progress_percent: number | null
  /** Units of work that ended, and those of them that succeeded. */
  finished: number
  succeeded: number
  /** Of the current day or month if the limit has a period. */
  spent_usd: Usd
  limit_usd: Usd
  used_percent: number
  /** The unit of the two following figures, in plural: the reported work, else "calls". */
  unit: string
  average_usd: Usd | null
  per_hour: number | null
  projected: Projection | null
  /** The projected cost of the whole work; null without a known total. */
  projection_usd: Usd | null
  budget_status: 'under_budget' | 'approaching_limit' | 'exhausted'
  /** Of units if the agent reports them, else of calls. */
  p50_ms: number | null
  p95_ms: number | null
  p99_ms: number | null
  /** Share of the services' replies that came from the cache. */
  cache_hit_percent: number | null
  /** Share of its life in which the agent's process was running. */
  uptime_percent: number
  uptime_ms: number
  leaks_stopped: number
  /** Spent plus the cost that blocked and downgraded calls would have had. */
  baseline_usd: Usd
  saved_usd: Usd
  blocked_saved_usd: Usd
}

/** The projected cost of the whole work, or, without a known total, when the limit is reached. */
export type Projection =
  | { of: 'total'; total_usd: Usd; spent_usd: Usd; remaining: number; unit: string; unit_usd: Usd; last_units: number }
  | { of: 'limit'; left_usd: Usd; left_ms: number; per_minute_usd: Usd; last_ms: number }

/** `nowMs`: server time in milliseconds since 1970. */
export function figures(agent: AgentView, nowMs: number): Figures {
  const { progress, outcomes } = agent
  const { done, unit } = workOf(agent)
  const spent = spentOfLimit(agent)
  const projected = projectTotal(agent) ?? projectLimit(agent, nowMs)
  const projectionUsd = projected?.of === 'total' ? projected.total_usd : null
  const blockedSaved = Object.values(agent.by_service).reduce(
    (sum, service) => addUsd(sum, service.saved_usd),
    ZERO_USD,
  )
  const saved = addUsd(blockedSaved, agent.downgraded_saved_usd)
  const lifeMs = Math.max(1, (agent.ended_at ? Date.parse(agent.ended_at) : nowMs) - Date.parse(agent.started_at))
  return {
    work: progress && { done: progress.done, total: progress.total, unit: progress.unit },
    progress_percent: progress?.total ? (progress.done * 100) / progress.total : null,
    finished: outcomes.succeeded + outcomes.failed,
    succeeded: outcomes.succeeded,
    spent_usd: spent,
    limit_usd: agent.limit_usd,
    used_percent: usedPercent(agent),
    unit,
    average_usd: done ? toUsd(round(fromUsd(agent.spent_usd) / done)) : null,
    per_hour: perHour(agent),
    projected,
    projection_usd: projectionUsd,
    budget_status: agent.exhausted
      ? 'exhausted'
      : isApproaching(agent, projectionUsd)
        ? 'approaching_limit'
        : 'under_budget',
    ...latencies(agent),
    cache_hit_percent: cacheHitPercent(agent),
    uptime_percent: 100 * (1 - Math.min(1, agent.down_ms / lifeMs)),
    uptime_ms: lifeMs,
    leaks_stopped: findingsOf(agent),
    baseline_usd: addUsd(agent.spent_usd, saved),
    saved_usd: saved,
    blocked_saved_usd: blockedSaved,
  }
}

/** Share of its limit that is spent, 0 or more; of the current day or month if the limit has a period. */
export const usedPercent = (agent: AgentView): number =>
  percentOf(fromUsd(spentOfLimit(agent)), fromUsd(agent.limit_usd))

/** Personal data found in its texts. */
export const findingsOf = ({ pii }: AgentView): number => Object.values(pii).reduce((sum, count) => sum + count, 0)

function latencies({ unit_latency, call_latency }: AgentView): Pick<Figures, 'p50_ms' | 'p95_ms' | 'p99_ms'> {
  const latency = Object.keys(unit_latency).length > 0 ? unit_latency : call_latency
  const ms = (share: number) => {
    const value = percentile(latency, share)
    return value === null ? null : Math.round(value)
  }
  return { p50_ms: ms(0.5), p95_ms: ms(0.95), p99_ms: ms(0.99) }
}

/** Time until an open circuit allows a probe, 0 or more; null unless it is open and closes by itself. */
export function cooldownLeftMs({ state, forced, opened_at, cooldown_ms }: CircuitView, nowMs: number): number | null {
  if (state !== 'open' || forced || opened_at === null) return null
  return Math.max(0, Date.parse(opened_at) + cooldown_ms - nowMs)
}

const percentOf = (part: number, whole: number): number => (whole > 0 ? (part / whole) * 100 : part > 0 ? 100 : 0)

/**
 * Projects the total cost: spent, plus the remaining units at the average of the last PROJECTION_WINDOW.
 * A trailing window follows a change of the price per unit within ten units, where an overall average lags behind.
 */
function projectTotal(agent: AgentView): Extract<Projection, { of: 'total' }> | null {
  const { progress, burn, spent_usd } = agent
  const last = burn.at(-1)
  if (!progress?.total || !last || progress.done === 0) return null
  const from = burn.findLast((point) => point.done <= last.done - PROJECTION_WINDOW) ?? burn[0]!
  const units = last.done - from.done
  if (units <= 0) return null
  const perUnit = (fromUsd(last.spent_usd) - fromUsd(from.spent_usd)) / units
  const remaining = Math.max(0, progress.total - progress.done)
  // Beyond the range of money.ts there is nothing sensible to show.
  const total = min(add(fromUsd(spent_usd), round(perUnit * remaining)), MAX_NANOS)
  return {
    of: 'total',
    total_usd: toUsd(total),
    spent_usd,
    remaining,
    unit: progress.unit,
    unit_usd: toUsd(round(perUnit)),
    last_units: units,
  }
}

/** When the limit is reached at the pace of the last PROJECTION_WINDOW payments, pauses included. */
function projectLimit(agent: AgentView, nowMs: number): Extract<Projection, { of: 'limit' }> | null {
  const { burn, ended_at, limit_usd, spent_usd, progress } = agent
  const from = burn.at(-1 - PROJECTION_WINDOW) ?? burn[0]!
  const nanos = fromUsd(spent_usd) - fromUsd(from.spent_usd)
  const ms = nowMs - Date.parse(from.at)
  if (progress?.total || ended_at !== null || nanos <= 0 || ms <= 0) return null
  const left = max(ZERO_NANOS, subtract(fromUsd(limit_usd), fromUsd(spentOfLimit(agent))))
  return {
    of: 'limit',
    left_usd: toUsd(left),
    left_ms: Math.round((left / nanos) * ms),
    per_minute_usd: toUsd(round((nanos / ms) * 60_000)),
    last_ms: ms,
  }
}

const round = (nanos: number) => nanodollars(Math.round(nanos))

/** The data of a spending chart. */
export interface Curve {
  over: 'the work done' | 'time'
  points: readonly BurnPoint[]
  /** Position of a point between the start (0) and the end (1). */
  share: (point: BurnPoint) => number
}

/**
 * Over the work done, or over time if no progress is reported. `lifeMs`: the agent's age. `work`: the total, if known.
 * (Default: the work done.)
 */
export function curveOf({ burn, progress, started_at }: AgentView, lifeMs: number, work = 0): Curve {
  const last = burn.at(-1)!
  if (progress) {
    const whole = Math.max(work, last.done, 1)
    return { over: 'the work done', points: burn, share: ({ done }) => done / whole }
  }
  const begin = Date.parse(started_at)
  const end = Math.max(begin + lifeMs, Date.parse(last.at))
  const now = { ...last, at: new Date(end).toISOString() }
  const share = ({ at }: BurnPoint) => (Date.parse(at) - begin) / Math.max(1, end - begin)
  return { over: 'time', points: [...burn, now], share }
}

/** One of the budgets that must all allow an agent's calls. */
export interface Limit {
  scope: BudgetScope
  limit_usd: Usd
  /** In the current period. */
  spent_usd: Usd
}

/** The agent's own limit first. */
export function limitsOf(agent: AgentView, snapshot: Snapshot): Limit[] {
  const { run_limit_usd, server_budget } = snapshot
  const limits: Limit[] = [{ scope: 'agent', limit_usd: agent.limit_usd, spent_usd: spentOfLimit(agent) }]
  if (run_limit_usd !== null && hasRun(agent, snapshot)) {
    limits.push({ scope: 'run', limit_usd: run_limit_usd, spent_usd: agent.run_spent_usd })
  }
  if (server_budget) {
    limits.push({ scope: 'server', limit_usd: server_budget.limit_usd, spent_usd: spentOfLimit(server_budget) })
  }
  return limits
}

/** True when it runs or ran in this server; never for an unsupervised client. */
export const hasRun = ({ pid, ended_at }: AgentView, { server }: Pick<Snapshot, 'server'>): boolean =>
  pid !== null || (ended_at !== null && server !== null && ended_at >= server.started_at)

/** The spending that counts toward the limit. */
export function spentOfLimit({ spent_usd, period }: BudgetView): Usd {
  if (!period) return spent_usd
  // A call that ended before midnight may be recorded later: until then the difference can be negative.
  return toUsd(max(ZERO_NANOS, subtract(fromUsd(spent_usd), fromUsd(period.spent_before_usd))))
}

/** A projection of the whole work cannot be compared with the limit of a period. */
const isApproaching = (agent: AgentView, projection: Usd | null): boolean =>
  agent.warned || (projection !== null && !agent.period && fromUsd(projection) > fromUsd(agent.limit_usd))

function perHour(agent: AgentView): number | null {
  const { done, last_at } = workOf(agent)
  const pausedMs = agent.pauses?.total_ms ?? 0
  const hours = (Date.parse(last_at) - Date.parse(agent.started_at) - pausedMs) / 3_600_000
  return done && hours > 0 ? Math.round(done / hours) : null
}

/** The units that an agent reports, else its calls. */
const workOf = ({ progress, calls, burn }: AgentView): { done: number; unit: string; last_at: string } =>
  progress ?? { done: calls.completed, unit: 'calls', last_at: burn.at(-1)!.at }

function cacheHitPercent(agent: AgentView): number | null {
  const services = Object.values(agent.by_service)
  const answers = services.reduce((sum, { live, cached, placeholder }) => sum + live + cached + placeholder, 0)
  const cached = services.reduce((sum, service) => sum + service.cached, 0)
  return answers ? (cached / answers) * 100 : null
}
