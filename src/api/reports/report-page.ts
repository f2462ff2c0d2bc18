/**
 * An agent's report as one self-contained document, to be read on a screen, printed, or sent. The dashboard shows the
 * same document, so it has no style attributes and no scripts. All its texts were redacted before they were stored;
 * `html` escapes them.
 */

import { html } from 'hono/html'
import type { Cost, CostReport } from '../../budget/report.ts'
import type { RuntimeEvent } from '../../core/events.ts'
import { addUsd, fromUsd, showUsd, ZERO_USD } from '../../core/money.ts'
import { PII, type PiiType } from '../../core/pii-types.ts'
import { showCount, showDuration, showLatency, showName, showNumberOf, singular } from '../../core/units.ts'
import type { IncidentRow } from '../../db/tables/incidents.ts'
import { moneyAxis } from '../../state/axis.ts'
import { type ShownCall, tokensText } from '../../state/call-view.ts'
import { curveOf, type Limit } from '../../state/figures.ts'
import { limitsText, type ShownFigures, showTags } from '../../state/figures-text.ts'
import type { AgentView, BurnPoint, CircuitView } from '../../state/snapshot.ts'

export interface ReportFacts {
  /** ISO 8601 UTC. */
  at: string
  agent: AgentView
  figures: ShownFigures
  /** All limits that its calls must fit into. */
  budgets: readonly Limit[]
  costs: CostReport
  circuits: readonly CircuitView[]
  /** Newest first. */
  incidents: readonly IncidentRow[]
  /** Notable events of its life, oldest first. */
  moments: readonly RuntimeEvent[]
  /** Newest first, at most CALLS_SHOWN. */
  calls: readonly TracedCall[]
}

/** A row of the ledger with details from its event. */
export interface TracedCall extends ShownCall {
  latency_ms: number | null
  redactions: number | null
  tier: number | null
}

export const CALLS_SHOWN = 1_000
/** Calls on paper: more would bury the rest. */
const PRINTED_CALLS = 100

type Html = ReturnType<typeof html>

export function reportPage(facts: ReportFacts): Html {
  const { agent, at } = facts
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${agent.name} ${agent.id} · Iron Cage report</title>
<style>${STYLE}</style>
</head>
<body>
<article class="report">
<header>
<h1>${agent.name} <code>${agent.id}</code></h1>
<p>${showName(agent.state)}${agent.reason ? `: ${agent.reason}` : ''} · ${agent.environment} · ${day(agent.started_at)} · as of ${moment(at)}</p>
${agent.tags ? html`<p class="dim">${showTags(agent.tags)}</p>` : ''}
</header>
${tiles(facts)}
${costSection(facts)}
${safetySection(facts)}
${performanceSection(facts)}
${timelineSection(facts)}
${callsSection(facts)}
<footer>Iron Cage. Amounts in US dollars, times in UTC. Every amount is the ledger’s: the parts add up to the whole.</footer>
</article>
</body>
</html>`
}

function tiles({ agent, figures: shown }: ReportFacts): Html {
  const all: [string | null, string][] = [
    [shown.spent, shown.used],
    [shown.progress, shown.success ? `${shown.success} succeeded` : 'done'],
    [shown.average_usd && showUsd(shown.average_usd), `avg/${singular(shown.unit)}`],
    [showCount(shown.leaks_stopped), agent.safety_mode === 'warn' ? 'findings, left in place' : 'leaks stopped'],
    [showUsd(shown.saved_usd), `saved against a baseline of ${showUsd(shown.baseline_usd)}`],
    [showDuration(shown.uptime_ms), `${shown.uptime_share} uptime, ${showNumberOf(agent.restarts, 'restart')}`],
  ]
  return html`<dl class="tiles">${all
    .filter(([figure]) => figure !== null)
    .map(([figure, label]) => html`<div><dt>${label}</dt><dd>${figure}</dd></div>`)}</dl>`
}

function costSection({ agent, figures: shown, budgets, costs }: ReportFacts): Html {
  const limits = limitsText(budgets)
  const baseline = [
    ['spent', agent.spent_usd],
    ['calls avoided by an open circuit', shown.blocked_saved_usd],
    ['calls on a cheaper model', agent.downgraded_saved_usd],
  ] as const
  return html`<section>
<h2>Cost</h2>
${limits === null ? '' : html`<p class="dim">${limits}</p>`}
${burnChart(agent, shown.uptime_ms)}
<div class="columns">
${costTable('By model', costs.by_model)}
${costTable('By service', costs.by_service)}
<table><caption>Baseline</caption><tbody>
${baseline.map(([label, usd]) => html`<tr><td>${label}</td><td class="number">${showUsd(usd)}</td></tr>`)}
<tr class="sum"><td>baseline</td><td class="number">${showUsd(shown.baseline_usd)}</td></tr>
</tbody></table>
${costTable('By hour', costs.by_hour)}
</div>
${costs.rows.unresolved > 0 ? html`<p class="warn">${costs.rows.unresolved} calls were cut off when a server was killed. Their holds remain until they are resolved: <code>iron-cage budget calls ${agent.id} --state unresolved</code>.</p>` : ''}
</section>`
}

function costTable(caption: string, costs: readonly Cost[]): Html | '' {
  if (costs.length === 0) return ''
  const sum = costs.reduce((total, { cost_usd }) => addUsd(total, cost_usd), ZERO_USD)
  return html`<table><caption>${caption}</caption><tbody>
${costs.map(({ name, calls, cost_usd }) => html`<tr><td><code>${name}</code></td><td class="number dim">${showNumberOf(calls, 'call')}</td><td class="number">${showUsd(cost_usd)}</td></tr>`)}
<tr class="sum"><td>Total</td><td></td><td class="number">${showUsd(sum)}</td></tr>
</tbody></table>`
}

const CHART = { width: 720, height: 180 }

/** Spending over the work done or over time, below the limit; the table of calls has the same data. */
function burnChart(agent: AgentView, lifeMs: number): Html | '' {
  const { over, points, share } = curveOf(agent, lifeMs)
  const { done } = points.at(-1)!
  if (done === 0) return ''
  const limit = fromUsd(agent.limit_usd)
  const axis = moneyAxis({ spent: agent.spent_usd, projected: agent.spent_usd, limit: agent.limit_usd })
  const x = (point: BurnPoint) => (share(point) * CHART.width).toFixed(1)
  const y = (nanos: number) => (CHART.height - (nanos / axis.top) * CHART.height).toFixed(1)
  const line = points.map((point) => `${x(point)} ${y(fromUsd(point.spent_usd))}`).join('L')
  const after = over === 'time' ? showDuration(lifeMs) : done
  return html`<svg class="burn" viewBox="0 0 ${CHART.width} ${CHART.height}" role="img" aria-label="Spending over ${over}: ${showUsd(agent.spent_usd)} after ${after}">
<path class="area" d="M${line}L${CHART.width} ${CHART.height}L0 ${CHART.height}Z"/>
${axis.ticks.map(({ nanos, usd }) => html`<path class="grid" d="M0 ${y(nanos)}H${CHART.width}"/><text x="4" y="${Number(y(nanos)) - 3}">${showUsd(usd)}</text>`)}
${axis.hasLimit ? html`<path class="limit" d="M0 ${y(limit)}H${CHART.width}"/><text class="of-limit" x="${CHART.width / 2}" y="${Number(y(limit)) + 13}">limit ${showUsd(agent.limit_usd)}</text>` : ''}
<path class="spent" d="M${line}"/>
</svg>
<p class="dim">Over ${over}: ${over === 'time' ? showDuration(lifeMs) : showNumberOf(done, singular(agent.progress?.unit ?? 'unit'))}.</p>`
}

function safetySection({ agent, incidents, circuits }: ReportFacts): Html {
  return html`<section>
<h2>Safety</h2>
${
  incidents.length === 0
    ? html`<p>No personal data was found in its texts. Detected types: ${agent.detect.join(', ')}.</p>`
    : html`<table class="wide"><caption>Personal data found (values are not in this report)</caption>
<thead><tr><th>When</th><th>Type</th><th>Risk</th><th>Where</th><th>Action</th><th>Incident</th></tr></thead><tbody>
${incidents.map((row) => html`<tr><td>${moment(row.at)}</td><td>${showName(row.type)}</td><td>${PII[row.type as PiiType].risk}</td><td>${showName(row.place)}</td><td>${row.action}</td><td><code>${row.id}</code></td></tr>`)}
</tbody></table>`
}
<table class="wide"><caption>Circuits</caption>
<thead><tr><th>Circuit</th><th>State</th><th class="number">Trips</th><th class="number">Calls blocked</th><th class="number">Saved</th><th class="number">Fallbacks</th><th>Last reason</th></tr></thead><tbody>
${circuits.map((circuit) => html`<tr><td><code>${circuit.name}</code></td><td>${showName(circuit.state)}</td><td class="number">${circuit.trips}</td><td class="number">${circuit.blocked}</td><td class="number">${showUsd(circuit.saved_usd)}</td><td class="number">${circuit.fallbacks}</td><td>${circuit.reason ?? ''}</td></tr>`)}
</tbody></table>
</section>`
}

function performanceSection({ agent, figures: shown }: ReportFacts): Html {
  const rows: [string, string | null][] = [
    ['Throughput', shown.throughput],
    ['P50 · P95 · P99', [shown.p50, shown.p95, shown.p99].map((figure) => figure ?? '–').join(' · ')],
    ['LLM calls', `${agent.calls.completed} answered, ${agent.calls.failed} failed`],
    ['Answers from a cache', shown.cache_hits],
    ['Degraded by a fallback', String(agent.outcomes.degraded)],
  ]
  return html`<section>
<h2>Performance</h2>
<table><tbody>${rows.map(([label, figure]) => html`<tr><td>${label}</td><td class="number">${figure ?? '–'}</td></tr>`)}</tbody></table>
</section>`
}

const timelineSection = ({ moments }: ReportFacts): Html => html`<section>
<h2>Timeline</h2>
<ol class="timeline">${moments.map((event) => html`<li class="${event.level.toLowerCase()}"><time>${moment(event.at)}</time> ${event.message}</li>`)}</ol>
</section>`

function callsSection({ agent, calls, costs }: ReportFacts): Html {
  const all = Object.values(costs.rows).reduce((sum, count) => sum + count, 0)
  return html`<section>
<h2>Calls</h2>
<p class="dim"><span class="printed">On paper the last ${PRINTED_CALLS} are listed. </span>${calls.length < all ? `The last ${showCount(calls.length)} of ${showCount(all)}; all of them: ` : 'As CSV: '}<code>iron-cage report ${agent.id} --format csv</code></p>
<table class="wide calls">
<thead><tr><th>When</th><th>Target</th><th>Status</th><th class="number">Reserved</th><th class="number">Cost</th><th class="number">Tokens in / out</th><th class="number">Latency</th><th>HTTP</th></tr></thead><tbody>
${calls.map(
  (call) => html`<tr>
<td>${moment(call.started_at)}</td>
<td><code>${call.model ?? call.target}</code></td>
<td>${call.state}${call.code ? ` · ${call.code}` : ''}${call.corrects ? ' · correction' : ''}</td>
<td class="number">${showUsd(call.held_usd)}</td>
<td class="number">${showUsd(call.cost_usd)}${call.estimated ? ' ≈' : ''}</td>
<td class="number">${tokensText(call)}</td>
<td class="number">${call.latency_ms === null ? '' : showLatency(call.latency_ms)}</td>
<td>${answerOf(call)}</td>
</tr>`,
)}
</tbody></table>
</section>`
}

function answerOf({ status, redactions, tier }: TracedCall): string {
  const parts = [status, tier && tier > 1 ? `tier ${tier}` : null, redactions ? `${redactions} redacted` : null]
  return parts.filter((part) => part !== null).join(' · ')
}

const moment = (at: string): string => at.slice(0, 19).replace('T', ' ')
const day = (at: string): string => at.slice(0, 10)

const STYLE = `
:host, body { margin: 0; }
body { color-scheme: light dark; }
.report { --line: light-dark(#d9dfe5, #2a333d); --dim: light-dark(#55616d, #98a4b1); --text: light-dark(#14181d, #e8edf2); --back: light-dark(#fff, #0b0d10); --blue: light-dark(#1a62bf, #5aa9ff); --red: light-dark(#c22a26, #ff6b6b); --amber: light-dark(#8f5a00, #f5b83d);
  max-width: 1000px; margin: 0 auto; padding: 32px 28px; color: var(--text); background: var(--back);
  font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; font-variant-numeric: tabular-nums; }
section { overflow-x: auto; } .printed { display: none; }
@media print { .report { --line: #ccc; --dim: #444; --text: #000; --back: #fff; --blue: #1a62bf; --red: #b00; --amber: #840; padding: 0; max-width: none; font-size: 10.5pt; } .printed { display: inline; } .calls tbody tr:nth-child(n + ${PRINTED_CALLS + 1}) { display: none; } section { overflow: visible; } }
h1 { font-size: 1.6em; margin: 0; } h1 code { font-size: .6em; color: var(--dim); }
h2 { font-size: 1.15em; margin: 2em 0 .6em; padding-bottom: .3em; border-bottom: 1px solid var(--line); break-after: avoid; }
header p, footer, .dim { color: var(--dim); } footer { margin-top: 3em; font-size: .85em; }
code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .9em; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 1.6em 0 0; }
.tiles div { border: 1px solid var(--line); border-radius: 10px; padding: 10px 14px; display: flex; flex-direction: column-reverse; break-inside: avoid; }
.tiles dt { color: var(--dim); font-size: .88em; } .tiles dd { margin: 0; font-size: 1.3em; font-weight: 620; }
.columns { display: flex; flex-wrap: wrap; gap: 8px 40px; align-items: flex-start; }
table { border-collapse: collapse; margin: 1em 0; min-width: 300px; } table.wide { width: 100%; }
caption { text-align: left; font-weight: 600; padding-bottom: 4px; }
th { text-align: left; font-weight: 500; color: var(--dim); } td, th { padding: 4px 14px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
.number { text-align: right; white-space: nowrap; } .sum td { font-weight: 600; border-bottom: 0; }
.calls { font-size: .88em; } .calls td { white-space: nowrap; } thead { display: table-header-group; } tr { break-inside: avoid; }
.warn { color: var(--amber); }
.burn { width: 100%; max-width: 940px; height: auto; fill: none; stroke-width: 2; } .burn .area { fill: var(--blue); opacity: .13; } .burn .spent { stroke: var(--blue); }
.burn .limit { stroke: var(--red); stroke-dasharray: 5 5; stroke-width: 1.3; } .burn .grid { stroke: var(--line); stroke-width: 1; }
.burn text { fill: var(--dim); font-size: 11px; } .burn .of-limit { fill: var(--red); }
.timeline { list-style: none; padding: 0; } .timeline li { padding: 3px 0 3px 12px; border-left: 3px solid var(--line); }
.timeline time { color: var(--dim); margin-right: 10px; font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .87em; }
.timeline .warn { border-color: var(--amber); color: inherit; } .timeline .error, .timeline .crit { border-color: var(--red); }
`
