import { showUsd, ZERO_USD } from '../../src/core/money.ts'
import { showCount, showCountdown } from '../../src/core/units.ts'
import { cooldownLeftMs } from '../../src/state/figures.ts'
import type { ShownFigures } from '../../src/state/figures-text.ts'
import type { AgentView, CircuitView } from '../../src/state/snapshot.ts'
import { resetCircuit } from '../actions.ts'
import { AdminAction, Panel, Row, Tag } from '../parts/parts.tsx'
import './performance.css'

const CIRCUITS = {
  closed: { tone: 'ok', mark: '●', word: 'CLOSED' },
  half_open: { tone: 'warn', mark: '◐', word: 'HALF OPEN' },
  open: { tone: 'bad', mark: '■', word: 'OPEN' },
} as const

export function PerformancePanel(props: {
  agent: AgentView
  figures: ShownFigures
  circuits: readonly CircuitView[]
  nowMs: number
}) {
  const { agent, figures, circuits, nowMs } = props
  const { per_hour, unit } = figures
  return (
    <Panel name="performance" title="Performance">
      <div class="trio">
        <Figure value={per_hour === null ? '–' : showCount(per_hour)} label={`${unit}/hour`} />
        <Figure value={figures.p95 ?? '–'} label="P95 latency" />
        <Figure value={figures.cache_hits ?? '–'} label="cache hits" />
      </div>
      <div class="rows">
        <Row label="P50 · P99">{[figures.p50 ?? '–', figures.p99 ?? '–'].join(' · ')}</Row>
        <Row label="Calls">
          {showCount(agent.calls.completed)} answered, {showCount(agent.calls.failed)} failed
        </Row>
        {circuits.map((circuit) => (
          <Circuit key={circuit.name} circuit={circuit} agent={agent} nowMs={nowMs} />
        ))}
      </div>
    </Panel>
  )
}

const Figure = ({ value, label }: { value: string; label: string }) => (
  <div>
    <div class="big">{value}</div>
    <div class="dim">{label}</div>
  </div>
)

function Circuit({ circuit, agent, nowMs }: { circuit: CircuitView; agent: AgentView; nowMs: number }) {
  const { tone, mark, word } = CIRCUITS[circuit.state]
  const leftMs = cooldownLeftMs(circuit, nowMs)
  const service = agent.by_service[circuit.name]
  return (
    <div class="circuit" data-circuit={circuit.name}>
      <div class="row">
        <span class="label mono">{circuit.name}</span>
        <span class="value">
          {circuit.state === 'open' && (
            <span class="dim">
              {leftMs === null ? 'until reset' : leftMs === 0 ? 'next call tries' : showCountdown(leftMs)}
            </span>
          )}{' '}
          <Tag tone={tone} mark={mark}>
            {word}
          </Tag>
        </span>
      </div>
      {circuit.state !== 'closed' && (
        <div class="below">
          <span class="dim">
            {showCount(service?.blocked ?? 0)} blocked · {showUsd(service?.saved_usd ?? ZERO_USD)} saved
          </span>
          <AdminAction label="Close circuit" kind="ghost" act={() => resetCircuit(circuit.name)} />
        </div>
      )}
    </div>
  )
}
