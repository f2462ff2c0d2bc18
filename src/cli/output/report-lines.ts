/** The report of an agent on a terminal: 48 columns, every line from the figures that the dashboard shows. */
import type { Cost, CostReport } from '../../budget/report.ts'
import { showUsd } from '../../core/money.ts'
import { showDuration, showName, showNumberOf } from '../../core/units.ts'
import type { Limit } from '../../state/figures.ts'
import { fallbackSuccess, type ShownFigures } from '../../state/figures-text.ts'
import type { AgentView, CircuitView } from '../../state/snapshot.ts'

const WIDTH = 48

export interface TerminalReportFacts {
  agent: AgentView
  circuits: readonly CircuitView[]
  figures: ShownFigures
  /** All limits that its calls must fit into. (Default: its own only.) */
  budgets?: readonly Limit[]
  /** Where the money went, from the ledger. (Default: the agent's own sums only.) */
  costs?: CostReport
  /** Paths and addresses that are printed last, by their label. */
  footer: Readonly<Record<string, string>>
}

/** Lines without a newline. */
export function reportLines({
  agent,
  figures: shown,
  circuits,
  budgets = [],
  costs,
  footer,
}: TerminalReportFacts): string[] {
  const { outcomes, progress } = agent
  const unit = progress?.unit ?? 'units'
  return [
    rule('═'),
    centred(`FINAL REPORT · ${agent.id}`),
    rule('═'),
    row('State', showName(agent.state)),
    ...Object.entries(agent.tags ?? {}).map(([name, value]) => row(`Tag ${name}`, value)),
    row('Duration', showDuration(shown.uptime_ms)),
    ...(progress ? [row(capital(unit), shown.progress!)] : []),
    ...(shown.success ? [row('Success', shown.success)] : []),
    ...(outcomes.degraded ? [row('Degraded (fallback used)', String(outcomes.degraded))] : []),
    ...(agent.restarts ? [row('Restarts', String(agent.restarts))] : []),
    heading('COST'),
    agent.period
      ? row('Total', showUsd(agent.spent_usd))
      : row('Total', `${showUsd(agent.spent_usd)} of ${showUsd(agent.limit_usd)} (${shown.used})`),
    ...(agent.period ? [row('This period', shown.spent), row('  until', agent.period.ends_at)] : []),
    ...budgets
      .filter(({ scope }) => scope !== 'agent')
      .map(({ scope, spent_usd, limit_usd }) => row(`  ${scope}`, `${showUsd(spent_usd)} of ${showUsd(limit_usd)}`)),
    ...(shown.average ? [row('Per unit', shown.average)] : []),
    ...projectionRows(shown),
    ...Object.entries(agent.by_model).map(([model, { cost_usd, calls }]) =>
      row(`  ${model}`, `${showNumberOf(calls, 'call')}  ${showUsd(cost_usd)}`),
    ),
    ...Object.entries(agent.by_service).map(([name, service]) =>
      row(`  ${name}`, `${service.live} live  ${showUsd(service.cost_usd)}`),
    ),
    row('vs Baseline', `${showUsd(shown.baseline_usd)}, ${showUsd(shown.saved_usd)} saved`),
    row('  blocked calls', `${showUsd(shown.blocked_saved_usd)} saved`),
    row('  cheaper model', `${showUsd(agent.downgraded_saved_usd)} saved`),
    ...(costs ? ledgerLines(costs) : []),
    heading('SAFETY'),
    row('Leaks stopped', String(shown.leaks_stopped)),
    ...Object.entries(agent.pii).map(([type, count]) => row(`  ${type}`, String(count))),
    ...Object.entries(agent.by_service)
      .filter(([, service]) => service.blocked > 0)
      .map(([name, service]) => row(`${name}`, `${showNumberOf(service.blocked, 'call')} blocked`)),
    ...circuits
      .filter(({ state }) => state !== 'closed')
      .flatMap((circuit) => {
        const answered = fallbackSuccess(circuit)
        return [
          row(`Circuit ${circuit.name}`, circuit.state.toUpperCase()),
          ...(answered ? [row('  without it', answered)] : []),
        ]
      }),
    heading('PERFORMANCE'),
    ...(shown.throughput ? [row('Throughput', shown.throughput)] : []),
    row('Latency P50 · P95 · P99', [shown.p50, shown.p95, shown.p99].map((value) => value ?? '–').join(' · ')),
    ...(shown.cache_hits ? [row('Cache hit rate', shown.cache_hits)] : []),
    row('Uptime', shown.uptime_share),
    rule('═'),
    // Paths are longer than the report is wide; cutting them would make them useless.
    ...Object.entries(footer).map(([label, value]) => `${label.padEnd(8)} ${value}`),
  ]
}

/** The method is wider than the report, so it stands below the figures that it explains. */
const projectionRows = ({ projection_usd, projection_method, progress_percent }: ShownFigures): string[] =>
  projection_usd === null || progress_percent === 100
    ? []
    : [row('Projection', showUsd(projection_usd)), `  ${projection_method}`]

function ledgerLines({ held_usd, rows, by_hour }: CostReport): string[] {
  return [
    heading('LEDGER'),
    row('Charged · released', `${rows.charged} · ${rows.released}`),
    ...(held_usd === '0'
      ? []
      : [row('Held', `${showUsd(held_usd)} by ${showNumberOf(rows.held + rows.unresolved, 'call')}`)]),
    ...(rows.unresolved ? [row('  left by a killed server', String(rows.unresolved))] : []),
    ...by_hour.map(({ name, calls, cost_usd }) =>
      row(`  ${name}`, `${showNumberOf(calls, 'call')}  ${showUsd(cost_usd)}`),
    ),
  ]
}

/** What all agents cost together. Lines without a newline. */
export function costLines(costs: CostReport): string[] {
  const part = (title: string, entries: readonly Cost[]) => [
    heading(title),
    ...entries.map(({ name, calls, cost_usd }) =>
      row(`  ${name}`, `${showNumberOf(calls, 'call')}  ${showUsd(cost_usd)}`),
    ),
  ]
  return [
    rule('═'),
    row('Spent', showUsd(costs.spent_usd)),
    row('Held', showUsd(costs.held_usd)),
    ...part('BY AGENT', costs.by_agent),
    ...part('BY MODEL', costs.by_model),
    ...part('BY SERVICE', costs.by_service),
    ...(costs.by_tag.length > 0 ? part('BY TAG', costs.by_tag) : []),
    ...part('BY HOUR', costs.by_hour),
    rule('═'),
  ]
}

const rule = (character: string): string => character.repeat(WIDTH)

const heading = (text: string): string => `── ${text} ${'─'.repeat(WIDTH - text.length - 4)}`

const centred = (text: string): string => text.padStart(Math.floor((WIDTH + text.length) / 2))

const row = (label: string, value: string): string => `${label}${value.padStart(Math.max(1, WIDTH - label.length))}`

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)
