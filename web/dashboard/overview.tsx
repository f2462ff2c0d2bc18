/** All agents: one card each, their notifications, and the event log. */

import type { RuntimeEvent } from '../../src/events.ts'
import { addUsd, showUsd, ZERO_USD } from '../../src/money.ts'
import { shownFigures } from '../../src/state/figures-text.ts'
import type { AgentView, AlertView, CircuitView, Snapshot } from '../../src/state/snapshot.ts'
import { showDuration, showNumberOf } from '../../src/units.ts'
import { agentAddress } from '../address.ts'
import { EventLogPanel } from '../panels/event-log.tsx'
import { NotificationsPanel } from '../panels/notifications.tsx'
import { SecretsPanel } from '../panels/secrets.tsx'
import { StateTag } from '../panels/status.tsx'
import { ago, Panel } from '../parts/parts.tsx'
import { isAlive } from '../store.ts'
import './overview.css'

export function Overview(props: {
  agents: readonly AgentView[]
  alerts: readonly AlertView[]
  circuits: readonly CircuitView[]
  events: readonly RuntimeEvent[]
  snapshot: Snapshot
  nowMs: number
}) {
  const { agents, nowMs } = props
  const alive = agents.filter(isAlive).length
  const spent = agents.reduce((sum, { spent_usd }) => addUsd(sum, spent_usd), ZERO_USD)
  return (
    <main class="panels overview">
      <Panel
        name="agents"
        title="Agents"
        aside={<span class="dim">{`${alive} running · ${showUsd(spent)} total`}</span>}
      >
        <ul class="cards scroll">
          {agents.map((agent) => (
            <AgentCard key={agent.id} agent={agent} nowMs={nowMs} />
          ))}
        </ul>
      </Panel>
      <NotificationsPanel alerts={props.alerts} circuits={props.circuits} nowMs={nowMs} namesAgents />
      <EventLogPanel events={props.events} agentId={null} />
      <SecretsPanel snapshot={props.snapshot} environment="" nowMs={nowMs} />
    </main>
  )
}

function AgentCard({ agent, nowMs }: { agent: AgentView; nowMs: number }) {
  const shown = shownFigures(agent, nowMs)
  const tone = agent.exhausted ? 'bad' : agent.warned ? 'warn' : ''
  return (
    <li>
      <a class="card" href={agentAddress(agent.id)} data-agent={agent.id}>
        <span class="line">
          <b>{agent.name}</b>
          <StateTag state={agent.state} />
        </span>
        <span class="line dim">
          <span class="mono">{agent.id}</span>
          <span>{agent.ended_at ? `ended ${ago(agent.ended_at, nowMs)}` : `for ${showDuration(shown.uptime_ms)}`}</span>
        </span>
        <span class="line">
          <span>{shown.spent}</span>
          <span class="dim">{shown.used}</span>
        </span>
        <span class={`bar budget ${tone}`} aria-hidden="true">
          <i style={{ width: `${Math.min(100, shown.used_percent)}%` }} />
        </span>
        <span class="line dim">
          <span>{shown.progress ?? showNumberOf(agent.calls.completed, 'call')}</span>
          <span>
            {shown.leaks_stopped > 0 ? `${showNumberOf(shown.leaks_stopped, 'leak')} stopped` : (shown.success ?? '')}
          </span>
        </span>
      </a>
    </li>
  )
}
