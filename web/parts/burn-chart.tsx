/**
 * Spending over the work done, or over time while no progress is reported, with warnings and limit once they are near.
 * A table serves screen readers.
 */
import { useSignal } from '@preact/signals'
import { fromUsd, showUsd, type Usd } from '../../src/core/money.ts'
import { showCount, showDuration } from '../../src/core/units.ts'
import { moneyAxis, ticksUpTo } from '../../src/state/axis.ts'
import { type Curve, curveOf } from '../../src/state/figures.ts'
import type { AgentView, BurnPoint } from '../../src/state/snapshot.ts'
import { clockTime } from './parts.tsx'
import './burn-chart.css'

const WIDTH = 640
const HEIGHT = 220

interface BurnChartProps {
  agent: AgentView
  /** Milliseconds since its start. */
  lifeMs: number
  projectionUsd: Usd | null
}

export function BurnChart({ agent, lifeMs, projectionUsd }: BurnChartProps) {
  const curve = curveOf(agent, lifeMs, agent.progress?.total ?? 0)
  const { over, points: burn, share } = curve
  const last = burn.at(-1)!
  const limit = fromUsd(agent.limit_usd)
  const axis = moneyAxis({
    spent: agent.spent_usd,
    projected: projectionUsd ?? agent.spent_usd,
    limit: agent.limit_usd,
  })
  const x = (point: BurnPoint) => share(point) * WIDTH
  const y = (nanos: number) => HEIGHT - (nanos / axis.top) * HEIGHT
  const top = (nanos: number) => `${(y(nanos) / HEIGHT) * 100}%`
  const points = burn.map((point) => `${x(point).toFixed(1)} ${y(fromUsd(point.spent_usd)).toFixed(1)}`)
  const line = `M${points.join('L')}`
  const ahead = projectionUsd && x(last) < WIDTH ? `M${points.at(-1)}L${WIDTH} ${y(fromUsd(projectionUsd))}` : ''
  const shares = axis.hasLimit ? agent.warn_at.filter((warned) => warned < 1) : []
  const crossings = shares.flatMap((warned) => burn.find(({ spent_usd }) => fromUsd(spent_usd) >= limit * warned) ?? [])
  return (
    <figure class="chart">
      <div class="plot">
        <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
          <g class="grid">
            {axis.ticks.map(({ nanos, usd }) => (
              <path key={usd} d={`M0 ${y(nanos)}H${WIDTH}`} />
            ))}
          </g>
          {axis.hasLimit && <path class="limit" d={`M0 ${y(limit)}H${WIDTH}`} />}
          {shares.map((warned) => (
            <path key={warned} class="warning" d={`M0 ${y(limit * warned)}H${WIDTH}`} />
          ))}
          <path class="area" d={`${line}L${x(last)} ${HEIGHT}L0 ${HEIGHT}Z`} />
          <path class="ahead" d={ahead} />
          <path class="spent" d={line} />
        </svg>
        {axis.ticks.map(({ nanos, usd }) => (
          <span key={usd} class="tick" style={{ top: top(nanos) }}>
            {showUsd(usd)}
          </span>
        ))}
        <Mark at={{ left: share(last), top: top(fromUsd(last.spent_usd)) }} tone="now" />
        {crossings.map((point) => (
          <Mark key={point.at} at={{ left: share(point), top: top(fromUsd(point.spent_usd)) }} tone="warned" />
        ))}
        {axis.hasLimit && (
          <span class="tip limit-tip" style={{ top: top(limit) }}>
            limit {showUsd(agent.limit_usd)}
          </span>
        )}
        {shares.map((warned) => (
          <span key={warned} class="tip warn-tip" style={{ top: top(limit * warned) }}>
            {Math.round(warned * 100)}%
          </span>
        ))}
        <Hover curve={curve} unit={agent.progress?.unit ?? ''} />
      </div>
      <div class="axis" aria-hidden="true">
        <span>{over === 'time' ? clockTime(agent.started_at) : '0'}</span>
        {over === 'the work done' && middleTick(agent)}
        <span>{over === 'time' ? `after ${showDuration(lifeMs)}` : workEnd(agent)}</span>
      </div>
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

const workOf = ({ progress }: AgentView): number => Math.max(progress?.total ?? 0, progress?.done ?? 0, 1)

const workEnd = (agent: AgentView): string => `${showCount(workOf(agent))} ${agent.progress?.unit ?? ''}`

/** The round number nearest to the middle. */
function middleTick(agent: AgentView) {
  const work = workOf(agent)
  const ticks = ticksUpTo(work, 4).filter((tick) => Number.isInteger(tick) && tick < work)
  const middle = ticks.sort((a, b) => Math.abs(a - work / 2) - Math.abs(b - work / 2))[0]
  return middle && <span style={{ left: `${(middle / work) * 100}%` }}>{showCount(middle)}</span>
}

/** The point of the curve below the pointer, in words. */
function Hover({ curve: { points, share, over }, unit }: { curve: Curve; unit: string }) {
  const at = useSignal<BurnPoint | null>(null)
  const find = ({ currentTarget, clientX }: PointerEvent) => {
    const { left, width } = (currentTarget as HTMLElement).getBoundingClientRect()
    const wanted = (clientX - left) / width
    at.value = points.reduce((best, point) =>
      Math.abs(share(point) - wanted) < Math.abs(share(best) - wanted) ? point : best,
    )
  }
  const point = at.value
  return (
    <div class="hover" onPointerMove={find} onPointerLeave={() => (at.value = null)}>
      {point && (
        <span class={share(point) > 0.5 ? 'to-left' : ''} style={{ left: `${share(point) * 100}%` }}>
          {[over !== 'time' && `${showCount(point.done)} ${unit}`, showUsd(point.spent_usd), clockTime(point.at)]
            .filter(Boolean)
            .join(' · ')}
        </span>
      )}
    </div>
  )
}

/** Round at any aspect ratio of the chart, unlike a circle in a stretched drawing. */
const Mark = ({ at, tone }: { at: { left: number; top: string }; tone: string }) => (
  <i class={`mark ${tone}`} style={{ left: `${at.left * 100}%`, top: at.top }} />
)
