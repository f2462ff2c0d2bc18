/**
 * The figures shown to people, each derived in one place: CLI, API, dashboard and reports print these exact strings.
 * Free of Node.
 */
import type { BudgetView } from '../events.ts'
import { addUsd, type BudgetScope, fromUsd, NANOS_PER_USD, showUsd, toUsd, type Usd } from '../money.ts'
import { percentile } from './histogram.ts'
import type { AgentView, BurnPoint, CircuitView, Snapshot } from './snapshot.ts'

/** How many of the last units a projection uses. */
const PROJECTION_WINDOW = 10

export interface Figures {
  /** "23 / 100 leads (23%)" */
  progress: string | null
  /** Share of the work done, 0–100; null without a total. */
  progress_percent: number | null
  /** "100% (23/23)" */
  success: string | null
  /** "$5.29 / $50.00"; of the current day or month if the limit has a period. */
  spent: string
  /** "10.6% used" */
  used: string
  used_percent: number
  /** "$0.23 avg/lead"; per call if no progress is reported, like the throughput. */
  average: string | null
  /** "Projection: $23.00 total"; without a known total "Projection: limit in 12 m 30 s, at $0.45/min" */
  projection: string | null
  projection_usd: Usd | null
  /** "$15.62 spent + 56 leads × $0.73 (average of the last 10)"; "$5.63 left ÷ $0.45/min (average of the last 22 s)" */
  projection_method: string | null
  budget_status: 'under_budget' | 'approaching_limit' | 'exhausted'
  /** "212 leads/hour" */
  throughput: string | null
  /** "P95: 2.1s" and similar; of units if the agent reports them, else of calls. */
  p50: string | null
  p95: string | null
  p99: string | null
  /** "34%": replies of services that came from the cache. */
  cache_hits: string | null
  /** "100%": share of its life in which the agent's process was running. */
  uptime_share: string
  uptime_ms: number
  leaks_stopped: number
  /** Spent plus the cost that blocked and downgraded calls would have had. */
  baseline_usd: Usd
  saved_usd: Usd
  blocked_saved_usd: Usd
}

/** `nowMs`: server time in milliseconds since 1970. */
export function figures(agent: AgentView, nowMs: number): Figures {
  const { progress, outcomes } = agent
  const { done, unit } = workOf(agent)
  const finished = outcomes.succeeded + outcomes.failed
  const spent = spentOfLimit(agent)
  const usedPercent = percentOf(fromUsd(spent), fromUsd(agent.limit_usd))
  const projection = project(agent) ?? projectTime(agent, nowMs)
  const blockedSaved = Object.values(agent.by_service).reduce((sum, service) => addUsd(sum, service.saved_usd), '0')
  const saved = addUsd(blockedSaved, agent.downgraded_saved_usd)
  const latency = Object.keys(agent.unit_latency).length > 0 ? agent.unit_latency : agent.call_latency
  const seconds = (share: number) => showSeconds(percentile(latency, share))
  const lifeMs = Math.max(1, (agent.ended_at ? Date.parse(agent.ended_at) : nowMs) - Date.parse(agent.started_at))
  return {
    progress: progress ? showProgress(progress) : null,
    progress_percent: progress?.total ? (progress.done / progress.total) * 100 : null,
    success: finished
      ? `${Math.round((outcomes.succeeded / finished) * 100)}% (${outcomes.succeeded}/${finished})`
      : null,
    spent: `${showUsd(spent)} / ${showUsd(agent.limit_usd)}`,
    used: `${usedPercent.toFixed(1)}% used`,
    used_percent: usedPercent,
    average: done ? `${showUsd(toUsd(Math.round(fromUsd(agent.spent_usd) / done)))} avg/${singular(unit)}` : null,
    projection: projection ? `Projection: ${projection.text}` : null,
    projection_usd: projection?.usd ?? null,
    projection_method: projection?.method ?? null,
    budget_status: agent.exhausted
      ? 'exhausted'
      : isApproaching(agent, projection?.usd ?? null)
        ? 'approaching_limit'
        : 'under_budget',
    throughput: throughput(agent),
    p50: seconds(0.5),
    p95: seconds(0.95),
    p99: seconds(0.99),
    cache_hits: cacheHits(agent),
    uptime_share: `${Number((100 * (1 - Math.min(1, agent.down_ms / lifeMs))).toFixed(1))}%`,
    uptime_ms: lifeMs,
    leaks_stopped: Object.values(agent.pii).reduce((sum, count) => sum + count, 0),
    baseline_usd: addUsd(agent.spent_usd, saved),
    saved_usd: saved,
    blocked_saved_usd: blockedSaved,
  }
}

/** The figures of a circuit. */
export interface CircuitFigures {
  /** Seconds until a probe is allowed; 0 when one is allowed now, null unless it is open and closes by itself. */
  countdown_s: number | null
  /** "97% (29/30)": of the calls without a live reply, those that a fallback answered. */
  fallback_success: string | null
}

/** `nowMs`: server time in milliseconds since 1970. */
export function circuitFigures({ state, forced, opened_at, cooldown_ms, ...circuit }: CircuitView, nowMs: number) {
  const withoutReply = circuit.fallbacks + circuit.unanswered
  const leftMs = opened_at === null ? 0 : Date.parse(opened_at) + cooldown_ms - nowMs
  return {
    countdown_s: state === 'open' && !forced ? Math.max(0, Math.ceil(leftMs / 1000)) : null,
    fallback_success: withoutReply
      ? `${Math.round((circuit.fallbacks / withoutReply) * 100)}% (${circuit.fallbacks}/${withoutReply})`
      : null,
  } satisfies CircuitFigures
}

/** "leads" → "lead". */
export const singular = (unit: string): string => (unit.length > 1 && unit.endsWith('s') ? unit.slice(0, -1) : unit)

/** 12,345; whole numbers only. */
export const showCount = (count: number): string => String(count).replace(/\B(?=(\d{3})+$)/g, ',')

/** "2.1s"; below a tenth of a second "85ms". */
export const showSeconds = (ms: number | null): string | null =>
  ms === null ? null : ms < 100 ? `${Math.round(ms)}ms` : `${(ms / 1000).toFixed(1)}s`

/** "1 m 26 s", "2 h 5 m", "8 s". */
export function showDuration(ms: number): string {
  const seconds = Math.round(ms / 1000)
  const minutes = Math.floor(seconds / 60)
  if (minutes === 0) return `${seconds} s`
  return minutes < 60 ? `${minutes} m ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} m`
}

function showProgress({ done, total, unit }: NonNullable<AgentView['progress']>): string {
  return total === null
    ? `${done} ${unit}`
    : `${done} / ${total} ${unit} (${Math.floor((done / Math.max(1, total)) * 100)}%)`
}

const percentOf = (part: number, whole: number): number => (whole > 0 ? (part / whole) * 100 : part > 0 ? 100 : 0)

interface Projection {
  /** Of the whole work; null without a known total. */
  usd: Usd | null
  text: string
  method: string
}

/**
 * Projects the total cost: spent, plus the remaining units at the average of the last PROJECTION_WINDOW.
 * A trailing window follows a change of the price per unit within ten units, where an overall average lags behind.
 */
function project(agent: AgentView): Projection | null {
  const { progress, burn } = agent
  const last = burn.at(-1)
  if (!progress?.total || !last || progress.done === 0) return null
  const from = burn.findLast((point) => point.done <= last.done - PROJECTION_WINDOW) ?? burn[0]!
  const units = last.done - from.done
  if (units <= 0) return null
  const perUnit = (fromUsd(last.spent_usd) - fromUsd(from.spent_usd)) / units
  const remaining = Math.max(0, progress.total - progress.done)
  // Beyond the range of money.ts there is nothing sensible to show.
  const nanos = Math.min(fromUsd(agent.spent_usd) + Math.round(perUnit * remaining), 9_000_000 * NANOS_PER_USD)
  return {
    usd: toUsd(nanos),
    text: `${showUsd(toUsd(nanos))} total`,
    method: `${showUsd(agent.spent_usd)} spent + ${remaining} ${progress.unit} × ${showUsd(toUsd(Math.round(perUnit)))} (average of the last ${units})`,
  }
}

/** When the limit is reached at the pace of the last PROJECTION_WINDOW payments, pauses included. */
function projectTime(agent: AgentView, nowMs: number): Projection | null {
  const { burn, ended_at, limit_usd, spent_usd, progress } = agent
  const from = burn.at(-1 - PROJECTION_WINDOW) ?? burn[0]!
  const nanos = fromUsd(spent_usd) - fromUsd(from.spent_usd)
  const ms = nowMs - Date.parse(from.at)
  if (progress?.total || ended_at !== null || nanos <= 0 || ms <= 0) return null
  const left = Math.max(0, fromUsd(limit_usd) - fromUsd(spentOfLimit(agent)))
  const pace = `${showUsd(toUsd(Math.round((nanos / ms) * 60_000)))}/min`
  return {
    usd: null,
    text: `limit in ${showDuration((left / nanos) * ms)}, at ${pace}`,
    method: `${showUsd(toUsd(left))} left ÷ ${pace} (average of the last ${showDuration(ms)})`,
  }
}

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

/** "server $12.40 of $100.00 · the agent's limit is reached first"; null if the agent's own is the only one. */
export function showLimits(limits: readonly Limit[]): string | null {
  const others = limits.filter(({ scope }) => scope !== 'agent')
  if (others.length === 0) return null
  const left = ({ limit_usd, spent_usd }: Limit) => fromUsd(limit_usd) - fromUsd(spent_usd)
  const first = limits.reduce((lowest, limit) => (left(limit) < left(lowest) ? limit : lowest))
  const parts = others.map(
    ({ scope, limit_usd, spent_usd }) => `${scope} ${showUsd(spent_usd)} of ${showUsd(limit_usd)}`,
  )
  return [...parts, `the ${first.scope}'s limit is reached${left(first) > 0 ? ' first' : ''}`].join(' · ')
}

/** True when it runs or ran in this server; never for an unsupervised client. */
export const hasRun = ({ pid, ended_at }: AgentView, { server }: Pick<Snapshot, 'server'>): boolean =>
  pid !== null || (ended_at !== null && server !== null && ended_at >= server.started_at)

/** The spending that counts toward the limit. */
export function spentOfLimit({ spent_usd, period }: BudgetView): Usd {
  if (!period) return spent_usd
  // A call that ended before midnight may be recorded later: until then the difference can be negative.
  return toUsd(Math.max(0, fromUsd(spent_usd) - fromUsd(period.spent_before_usd)))
}

/** A projection of the whole work cannot be compared with the limit of a period. */
const isApproaching = (agent: AgentView, projection: Usd | null): boolean =>
  agent.warned || (projection !== null && !agent.period && fromUsd(projection) > fromUsd(agent.limit_usd))

function throughput(agent: AgentView): string | null {
  const { done, unit, last_at } = workOf(agent)
  const hours = (Date.parse(last_at) - Date.parse(agent.started_at)) / 3_600_000
  if (!done || hours <= 0) return null
  return `${showCount(Math.round(done / hours))} ${unit}/hour`
}

/** The units that an agent reports, else its calls. */
const workOf = ({ progress, calls, burn }: AgentView): { done: number; unit: string; last_at: string } =>
  progress ?? { done: calls.completed, unit: 'calls', last_at: burn.at(-1)!.at }

function cacheHits(agent: AgentView): string | null {
  const services = Object.values(agent.by_service)
  const answers = services.reduce((sum, { live, cached, placeholder }) => sum + live + cached + placeholder, 0)
  const cached = services.reduce((sum, service) => sum + service.cached, 0)
  return answers ? `${Math.round((cached / answers) * 100)}%` : null
}
