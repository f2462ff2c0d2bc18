/** All agents, their notifications, and the event log. */

import type { RuntimeEvent } from '../../src/core/events.ts'
import { addUsd, showUsd, ZERO_USD } from '../../src/core/money.ts'
import { type AgentView, type AlertView, type CircuitView, isClient, type Snapshot } from '../../src/state/snapshot.ts'
import { EventLogPanel } from '../panels/event-log.tsx'
import { NotificationsPanel } from '../panels/notifications.tsx'
import { SecretsPanel } from '../panels/secrets.tsx'
import { Panel } from '../parts/parts.tsx'
import { isAlive } from '../store.ts'
import { AgentTable, AgentTools } from './agent-table.tsx'
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
  const alive = agents.filter((agent) => isAlive(agent) && !isClient(agent)).length
  const spent = agents.reduce((sum, { spent_usd }) => addUsd(sum, spent_usd), ZERO_USD)
  return (
    <main class="panels overview">
      <Panel
        name="agents"
        title="Agents"
        aside={
          <>
            <span class="dim">{`${alive} running · ${showUsd(spent)} total`}</span>
            <AgentTools />
          </>
        }
      >
        <AgentTable agents={agents} nowMs={nowMs} />
      </Panel>
      <NotificationsPanel alerts={props.alerts} circuits={props.circuits} nowMs={nowMs} namesAgents />
      <EventLogPanel events={props.events} agentId={null} />
      <SecretsPanel snapshot={props.snapshot} environment="" nowMs={nowMs} />
    </main>
  )
}
