/** Two agents side by side on a terminal: what each did and cost. */
import type { AgentReport } from '../../api/reports/report.ts'
import { showUsd } from '../../core/money.ts'
import { showCount, showDuration, showName } from '../../core/units.ts'
import { spentOfLimit } from '../../state/figures.ts'
import { table } from './print.ts'

/** A table without rows that both leave empty; rows that differ are marked. */
export function comparisonLines(one: AgentReport, other: AgentReport): string[] {
  const [before, after] = [factsOf(one), factsOf(other)]
  const labels = [...new Set([...before.keys(), ...after.keys()])]
  const rows = labels.map((label) => {
    const [left, right] = [before.get(label) ?? '-', after.get(label) ?? '-']
    return [label, left, right, left === right ? '' : '≠']
  })
  return table([['', one.agent.id, other.agent.id, ''], ...rows])
}

function factsOf({ agent, figures }: AgentReport): Map<string, string> {
  const facts = new Map([
    ['Name', agent.name],
    ['Started', agent.started_at],
    ['State', showName(agent.state)],
    ['Duration', showDuration(figures.uptime_ms)],
    ['Restarts', String(agent.restarts)],
    ['Progress', figures.progress ?? '-'],
    ['Success', figures.success ?? '-'],
    ['Cost', showUsd(spentOfLimit(agent))],
    ['Limit', showUsd(agent.limit_usd)],
    ['Calls', showCount(agent.calls.completed)],
    ['Failed calls', showCount(agent.calls.failed)],
    ['Findings', String(figures.leaks_stopped)],
    ['Latency P95', figures.p95 ?? '-'],
  ])
  for (const [model, { calls, cost_usd }] of Object.entries(agent.by_model)) {
    facts.set(`  ${model}`, `${showUsd(cost_usd)} (${showCount(calls)})`)
  }
  for (const [service, { live, cost_usd }] of Object.entries(agent.by_service)) {
    facts.set(`  ${service}`, `${showUsd(cost_usd)} (${showCount(live)})`)
  }
  return facts
}
