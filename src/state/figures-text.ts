/**
 * The figures in words: the dashboard, the command line, the API and reports show these exact strings. Free of Node.
 */
import { fromUsd, showUsd } from '../core/money.ts'
import { showCount, showDuration, showLatency, showPercent, showRate, singular } from '../core/units.ts'
import { type Figures, figures, type Limit, type Projection } from './figures.ts'
import type { AgentView, CircuitView } from './snapshot.ts'

export interface FiguresText {
  /** "23 / 100 leads (23%)" */
  progress: string | null
  /** "100% (23/23)" */
  success: string | null
  /** "$5.29 / $50.00"; of the current day or month if the limit has a period. */
  spent: string
  /** "10.6% used" */
  used: string
  /** "$0.23 avg/lead"; per call if no progress is reported, like the throughput. */
  average: string | null
  /** "Projection: $23.00 total"; without a known total "Projection: limit in 12 min 30 s, at $0.45/min" */
  projection: string | null
  /** "$15.62 spent + 56 leads × $0.73 (average of the last 10)"; "$5.63 left ÷ $0.45/min (average of the last 22 s)" */
  projection_method: string | null
  /** "212 leads/hour" */
  throughput: string | null
  /** "2.1 s" */
  p50: string | null
  p95: string | null
  p99: string | null
  /** "34%" */
  cache_hits: string | null
  /** "99.9%" */
  uptime_share: string
}

/** The figures as numbers and in words. */
export type ShownFigures = Figures & FiguresText

/** `nowMs`: server time in milliseconds since 1970. */
export function shownFigures(agent: AgentView, nowMs: number): ShownFigures {
  const numbers = figures(agent, nowMs)
  return { ...numbers, ...figuresText(numbers) }
}

export function figuresText(shown: Figures): FiguresText {
  const { work, finished, succeeded, unit, average_usd, per_hour, projected, cache_hit_percent } = shown
  return {
    progress: work && `${showCount(work.done)} ${workLeft(shown)}`,
    success: finished ? showRate(succeeded, finished) : null,
    spent: `${showUsd(shown.spent_usd)} ${ofLimit(shown)}`,
    used: `${showPercent(shown.used_percent, 1)} used`,
    average: average_usd && `${showUsd(average_usd)} avg/${singular(unit)}`,
    projection: projected && `Projection: ${projectionText(projected)}`,
    projection_method: projected && projectionMethod(projected),
    throughput: per_hour === null ? null : `${showCount(per_hour)} ${unit}/hour`,
    p50: latencyText(shown.p50_ms),
    p95: latencyText(shown.p95_ms),
    p99: latencyText(shown.p99_ms),
    cache_hits: cache_hit_percent === null ? null : showPercent(cache_hit_percent),
    uptime_share: `${Number(shown.uptime_percent.toFixed(1))}%`,
  }
}

/** What follows the amount of work done: "/ 100 leads (23%)"; "leads" without a known total. */
export function workLeft({ work, progress_percent }: Figures): string {
  if (work === null) return ''
  // Rounded down: 100% means done.
  const share = ` (${showPercent(Math.floor(progress_percent ?? 0))})`
  return work.total === null ? work.unit : `/ ${showCount(work.total)} ${work.unit}${share}`
}

/** "lead 67": the agent's current unit of work; null without reported progress. */
export const currentUnit = (agent: Pick<AgentView, 'progress'> | undefined): string | null =>
  agent?.progress ? `${singular(agent.progress.unit)} ${agent.progress.done + 1}` : null

/** What follows the amount spent: "/ $50.00". */
export const ofLimit = ({ limit_usd }: Pick<Figures, 'limit_usd'>): string => `/ ${showUsd(limit_usd)}`

const latencyText = (ms: number | null): string | null => (ms === null ? null : showLatency(ms))

const projectionText = (projected: Projection): string =>
  projected.of === 'total'
    ? `${showUsd(projected.total_usd)} total`
    : `limit in ${showDuration(projected.left_ms)}, at ${pace(projected)}`

function projectionMethod(projected: Projection): string {
  if (projected.of === 'limit') {
    const { left_usd, last_ms } = projected
    return `${showUsd(left_usd)} left ÷ ${pace(projected)} (average of the last ${showDuration(last_ms)})`
  }
  const { spent_usd, remaining, unit, unit_usd, last_units } = projected
  return `${showUsd(spent_usd)} spent + ${showCount(remaining)} ${unit} × ${showUsd(unit_usd)} (average of the last ${last_units})`
}

const pace = ({ per_minute_usd }: Extract<Projection, { of: 'limit' }>): string => `${showUsd(per_minute_usd)}/min`

/** "97% (29/30)": of the calls without a live reply, those that a fallback answered; null without such calls. */
export const fallbackSuccess = ({ fallbacks, unanswered }: CircuitView): string | null =>
  fallbacks + unanswered > 0 ? `${showRate(fallbacks, fallbacks + unanswered)} via fallback` : null

/** "server $12.40 of $100.00 · the agent's limit is reached first"; null if the agent's own is the only one. */
export function limitsText(limits: readonly Limit[]): string | null {
  const others = limits.filter(({ scope }) => scope !== 'agent')
  if (others.length === 0) return null
  const left = ({ limit_usd, spent_usd }: Limit) => fromUsd(limit_usd) - fromUsd(spent_usd)
  const first = limits.reduce((lowest, limit) => (left(limit) < left(lowest) ? limit : lowest))
  const parts = others.map(
    ({ scope, limit_usd, spent_usd }) => `${scope} ${showUsd(spent_usd)} of ${showUsd(limit_usd)}`,
  )
  return [...parts, `the ${first.scope}'s limit is reached${left(first) > 0 ? ' first' : ''}`].join(' · ')
}

/** A tag as reports and lists show it: "customer=acme". */
export const showTag = ([name, value]: readonly [string, string]): string => `${name}=${value}`

/** "customer=acme, project=x"; empty without any. */
export const showTags = (tags: AgentView['tags'] = {}): string => Object.entries(tags).map(showTag).join(', ')
