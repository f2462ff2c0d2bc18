/**
 * Spending over the work done, or over time while no progress is reported, with the lines that matter: warning and
 * limit. A table says the same to a screen reader.
 */
import { fromUsd, showUsd, type Usd } from '../../src/money.ts'
import { curveOf } from '../../src/state/figures.ts'
import type { AgentView, BurnPoint } from '../../src/state/snapshot.ts'
import './burn-chart.css'

const WIDTH = 640
const HEIGHT = 220
const TOP = 14

interface BurnChartProps {
  agent: AgentView
  /** Milliseconds since its start. */
  lifeMs: number
  projectionUsd: Usd | null
}

export function BurnChart({ agent, lifeMs, projectionUsd }: BurnChartProps) {
  const limit = Math.max(1, fromUsd(agent.limit_usd))
  const spent = fromUsd(agent.spent_usd)
  const { over, points: burn, share } = curveOf(agent, lifeMs, agent.progress?.total ?? 0)
  const last = burn.at(-1)!
  const maxNanos = Math.max(limit, spent) * 1.06
  const x = (point: BurnPoint) => share(point) * WIDTH
  const y = (nanos: number) => HEIGHT - (nanos / maxNanos) * (HEIGHT - TOP)
  const points = burn.map((point) => `${x(point).toFixed(1)} ${y(fromUsd(point.spent_usd)).toFixed(1)}`)
  const line = `M${points.join('L')}`
  const ahead = projectionUsd && x(last) < WIDTH ? `M${points.at(-1)}L${WIDTH} ${y(fromUsd(projectionUsd))}` : ''
  const shares = agent.warn_at.filter((warned) => warned < 1)
  const crossings = shares.flatMap((warned) => burn.find(({ spent_usd }) => fromUsd(spent_usd) >= limit * warned) ?? [])
  return (
    <figure class="chart">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
        <g class="grid">
          {[0.25, 0.5, 0.75].map((share) => (
            <path key={share} d={`M0 ${y(limit * share)}H${WIDTH}`} />
          ))}
        </g>
        <path class="limit" d={`M0 ${y(limit)}H${WIDTH}`} />
        {shares.map((warned) => (
          <path key={warned} class="warning" d={`M0 ${y(limit * warned)}H${WIDTH}`} />
        ))}
        <path class="area" d={`${line}L${x(last)} ${HEIGHT}L0 ${HEIGHT}Z`} />
        <path class="ahead" d={ahead} />
        <path class="spent" d={line} />
      </svg>
      <Mark at={{ left: share(last), top: y(fromUsd(last.spent_usd)) / HEIGHT }} tone="now" />
      {crossings.map((point) => (
        <Mark key={point.at} at={{ left: share(point), top: y(fromUsd(point.spent_usd)) / HEIGHT }} tone="warned" />
      ))}
      <span class="tip limit-tip" style={{ top: `${(y(limit) / HEIGHT) * 100}%` }}>
        limit {showUsd(agent.limit_usd)}
      </span>
      {shares.map((warned) => (
        <span key={warned} class="tip warn-tip" style={{ top: `${(y(limit * warned) / HEIGHT) * 100}%` }}>
          {Math.round(warned * 100)}%
        </span>
      ))}
      <table class="twin">
        <caption>Spending over {over}</caption>
        <tbody>
          {agent.burn.map(({ done, spent_usd, at }) => (
            <tr key={`${done} ${at}`}>
              <td>{over === 'time' ? at : done}</td>
              <td>{showUsd(spent_usd)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </figure>
  )
}

/** Round whatever the chart's aspect ratio, unlike a circle in a stretched drawing. */
const Mark = ({ at, tone }: { at: { left: number; top: number }; tone: string }) => (
  <i class={`mark ${tone}`} style={{ left: `${at.left * 100}%`, top: `${at.top * 100}%` }} />
)
