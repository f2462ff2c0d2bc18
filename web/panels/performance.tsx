import { showUsd } from '../../src/money.ts'
import type { Figures } from '../../src/state/figures.ts'
import type { AgentView, CircuitView } from '../../src/state/snapshot.ts'
import { resetCircuit } from '../actions.ts'
import { Action, countdown, Panel, Row, Tag } from '../parts/parts.tsx'

const CIRCUITS = {
  closed: { tone: 'ok', mark: '●', word: 'CLOSED' },
  half_open: { tone: 'warn', mark: '◐', word: 'HALF OPEN' },
  open: { tone: 'bad', mark: '■', word: 'OPEN' },
} as const

export function PerformancePanel(props: {
  agent: AgentView
  figures: Figures
  circuits: readonly CircuitView[]
  nowMs: number
}) {
  const { agent, figures, circuits, nowMs } = props
  const [rate, unit] = (figures.throughput ?? '– calls/hour').split(' ')
  return (
    <Panel name="performance" title="Performance">
      <div class="trio">
        <Figure value={rate!} label={unit!} />
        <Figure value={figures.p95 ?? '–'} label="P95 latency" />
        <Figure value={figures.cache_hits ?? '–'} label="cache hits" />
      </div>
      <div class="rows">
        <Row label="P50 · P99">{[figures.p50 ?? '–', figures.p99 ?? '–'].join(' · ')}</Row>
        <Row label="Calls">
          {agent.calls.completed} answered, {agent.calls.failed} failed
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
  const leftMs = circuit.opened_at ? Date.parse(circuit.opened_at) + circuit.cooldown_ms - nowMs : 0
  const service = agent.by_service[circuit.name]
  return (
    <div class="circuit" data-circuit={circuit.name}>
      <div class="row">
        <span class="label mono">{circuit.name}</span>
        <span class="value">
          {circuit.state === 'open' && <span class="dim">{circuit.forced ? 'until reset' : countdown(leftMs)}</span>}{' '}
          <Tag tone={tone} mark={mark}>
            {word}
          </Tag>
        </span>
      </div>
      {circuit.state !== 'closed' && (
        <div class="below">
          <span class="dim">
            {service?.blocked ?? 0} blocked · {showUsd(service?.saved_usd ?? '0')} saved
          </span>
          <Action label="Force reset" kind="ghost" act={() => resetCircuit(circuit.name)} />
        </div>
      )}
    </div>
  )
}
