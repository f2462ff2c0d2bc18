import { fromUsd, NANOS_PER_USD, showUsd, suggestedIncrease, toUsd } from '../../src/money.ts'
import type { AgentView, AlertView, CircuitView } from '../../src/state/snapshot.ts'
import { acknowledge, pause, raiseBudget, resetCircuit, stop } from '../actions.ts'
import { Action, ago, Panel } from '../parts/parts.tsx'

const TONES: Record<string, string> = { CRIT: 'bad', ERROR: 'bad', WARN: 'warn', OK: 'ok', INFO: 'info', DEBUG: 'info' }

export function NotificationsPanel(props: {
  agent: AgentView
  alerts: readonly AlertView[]
  circuits: readonly CircuitView[]
  nowMs: number
}) {
  const { agent, alerts, circuits, nowMs } = props
  const open = alerts.filter(({ acknowledged }) => !acknowledged)
  return (
    <Panel name="notifications" title="Notifications" aside={<span class="dim">{open.length || ''}</span>}>
      <div class="scroll">
        {alerts.length === 0 && (
          <p class="dim empty">Nothing to tell. Warnings, findings and open circuits come here.</p>
        )}
        {[...open, ...alerts.filter(({ acknowledged }) => acknowledged)].map((alert) => (
          <article
            key={alert.id}
            class={`note ${TONES[alert.level]} ${alert.acknowledged ? 'seen' : ''}`}
            data-alert={alert.kind}
          >
            <b>{alert.title}</b>
            <time class="dim" dateTime={alert.at}>
              {ago(alert.at, nowMs)}
            </time>
            <p>
              {alert.detail}
              {alert.delivered.length > 0 && ` Sent by ${alert.delivered.join(', ')}.`}
            </p>
            {!alert.acknowledged && (
              <div class="buttons">
                <AlertActions alert={alert} agent={agent} circuits={circuits} />
                <Action label="Acknowledge" kind="ghost" act={() => acknowledge(alert.id)} />
              </div>
            )}
          </article>
        ))}
      </div>
    </Panel>
  )
}

/** What can be done about an alert, as long as it can. */
export function AlertActions({
  alert,
  agent,
  circuits,
}: {
  alert: AlertView
  agent: AgentView
  circuits: readonly CircuitView[]
}) {
  const isAlive = agent.state === 'running' || agent.state === 'paused'
  if (alert.kind === 'budget_warning' || alert.kind === 'budget_exhausted') {
    return (
      <>
        <ApproveIncrease agent={agent} />
        {isAlive && agent.state !== 'paused' && <Action label="Pause" act={() => pause(agent.id)} />}
        {isAlive && <Action label="Stop" confirm="Really stop?" act={() => stop(agent.id)} />}
      </>
    )
  }
  if (alert.kind === 'circuit_opened') {
    const circuit = circuits.find(({ name, state }) => state !== 'closed' && alert.title.includes(name))
    return circuit ? <Action label="Force reset" act={() => resetCircuit(circuit.name)} /> : null
  }
  return null
}

/** Raises the limit by what the server proposes, and says so: "Approve $25 increase". */
export function ApproveIncrease({ agent }: { agent: AgentView }) {
  const more = suggestedIncrease(fromUsd(agent.limit_usd))
  const label = more % NANOS_PER_USD === 0 ? `$${more / NANOS_PER_USD}` : showUsd(toUsd(more))
  return <Action label={`Approve ${label} increase`} kind="primary" act={() => raiseBudget(agent.id, toUsd(more))} />
}
