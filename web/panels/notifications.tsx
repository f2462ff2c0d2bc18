import {
  type ConfiguredScope,
  fromUsd,
  NANOS_PER_USD,
  type NamedScope,
  showUsd,
  suggestedIncrease,
  toUsd,
  type Usd,
} from '../../src/core/money.ts'
import { hasRun } from '../../src/state/figures.ts'
import type { AgentView, AlertView, CircuitView } from '../../src/state/snapshot.ts'
import {
  acknowledge,
  pause,
  raiseBudget,
  raiseConfigured,
  resendAlert,
  resetCircuit,
  resume,
  stop,
} from '../actions.ts'
import { agentAddress } from '../address.ts'
import { nameOf } from '../names.ts'
import { AdminAction, ago, Panel } from '../parts/parts.tsx'
import { agentOf, isAlive, snapshot } from '../store.ts'
import './notifications.css'

export const TONES: Record<string, string> = {
  CRIT: 'bad',
  ERROR: 'bad',
  WARN: 'warn',
  OK: 'ok',
  INFO: 'info',
  DEBUG: 'info',
}

export function NotificationsPanel(props: {
  alerts: readonly AlertView[]
  circuits: readonly CircuitView[]
  nowMs: number
  /** Of several agents. (Default: of the one on screen.) */
  namesAgents?: boolean
}) {
  const { circuits, nowMs, namesAgents = false } = props
  const alerts = withoutSuperseded(props.alerts)
  const open = cardsOf(alerts.filter(({ acknowledged }) => !acknowledged))
  return (
    <Panel name="notifications" title="Notifications" aside={<span class="dim">{open.length || ''}</span>}>
      <div class="scroll">
        {alerts.length === 0 && (
          <p class="dim empty">No notifications. Warnings, findings and open circuits appear here.</p>
        )}
        {[...open, ...cardsOf(alerts.filter(({ acknowledged }) => acknowledged))].map(({ alert, same }) => (
          <article
            key={alert.id}
            class={`note ${TONES[alert.level]} ${alert.acknowledged ? 'seen' : ''}`}
            data-alert={alert.kind}
          >
            <header>
              <b>
                {alert.title}
                {same.length > 1 && ` × ${same.length}`}
                {namesAgents && alert.agent_id !== null && <span class="whose"> · {nameOf(alert.agent_id)}</span>}
              </b>
              <time class="dim" dateTime={alert.at}>
                {ago(alert.at, nowMs)}
              </time>
            </header>
            <p>
              {alert.detail}
              {alert.delivered.length > 0 && ` Sent by ${alert.delivered.join(', ')}.`}
            </p>
            {alert.failed.map(({ channel, error }) => (
              <p key={channel} class="fault">
                Not sent by {channel}: {error}
              </p>
            ))}
            {!alert.acknowledged && (
              <div class="buttons">
                <AlertActions alert={alert} agent={agentOf(alert)} circuits={circuits} />
                {alert.failed.length > 0 && <AdminAction label="Send again" act={() => resendAlert(alert.id)} />}
                <AdminAction
                  label={alert.request ? 'Reject' : 'Acknowledge'}
                  kind="ghost"
                  act={() => acknowledgeAll(same)}
                />
              </div>
            )}
          </article>
        ))}
      </div>
    </Panel>
  )
}

const acknowledgeAll = (alerts: readonly AlertView[]) => Promise.all(alerts.map(({ id }) => acknowledge(id)))

interface Card {
  /** The newest, with its display. */
  alert: AlertView
  same: AlertView[]
}

/** Findings of one type and agent are one card, so that they do not bury the others; so long as all were delivered. */
function cardsOf(alerts: readonly AlertView[]): Card[] {
  const cards = new Map<string, Card>()
  for (const alert of alerts) {
    const { id, kind, agent_id, title, failed } = alert
    const key = kind === 'pii_found' && failed.length === 0 ? `${agent_id} ${title}` : id
    const card = cards.get(key)
    if (card) card.same.push(alert)
    else cards.set(key, { alert, same: [alert] })
  }
  return [...cards.values()]
}

/** Once a budget is spent, the warnings about it are obsolete. */
const withoutSuperseded = (alerts: readonly AlertView[]): AlertView[] =>
  alerts.filter(
    (alert, index) =>
      alert.kind !== 'budget_warning' ||
      !alerts
        .slice(0, index)
        .some(
          ({ kind, agent_id, budget }) =>
            kind === 'budget_exhausted' && agent_id === alert.agent_id && budget === alert.budget,
        ),
  )

/** The actions that an alert currently allows. */
export function AlertActions({
  alert,
  agent,
  circuits,
}: {
  alert: AlertView
  /** The agent it is about; undefined for an alert about all, or about a past agent. */
  agent: AgentView | undefined
  circuits: readonly CircuitView[]
}) {
  const circuit = circuits.find(({ name, state }) => state !== 'closed' && alert.circuit === name)
  return (
    <>
      {agent && needsIncrease(alert, agent) && (
        <BudgetActions agent={agent} budget={alert.budget} more={alert.request?.add_usd} />
      )}
      {circuit && <AdminAction label="Close circuit" act={() => resetCircuit(circuit.name)} />}
      <button type="button" class="btn ghost" onClick={() => openDetails(alert)}>
        Details
      </button>
    </>
  )
}

/** An increase that was approved, or is no longer needed, is not offered. */
const needsIncrease = ({ kind, budget, request }: AlertView, agent: AgentView): boolean =>
  (request
    ? request.state === 'pending'
    : (kind === 'budget_warning' || kind === 'budget_exhausted') &&
      (budget !== null || agent.warned || agent.exhausted)) &&
  (isAlive(agent) || agent.state === 'budget_stopped')

/** A shared limit is raised on its Control Panel. `more`: the agent's request. (Default: the server's suggestion.) */
function BudgetActions(props: { agent: AgentView; budget: NamedScope | null; more?: Usd | undefined }) {
  const { agent, budget, more } = props
  const canAct = agent.state === 'running' || agent.state === 'paused'
  return (
    <>
      {budget === null && <ApproveIncrease agent={agent} more={more} />}
      {budget !== null && budget !== 'shared' && <ApproveConfigured budget={budget} more={more} />}
      {agent.state === 'running' && <AdminAction label="Pause" act={() => pause(agent.id)} />}
      {canAct && <AdminAction label="Stop" confirm="Really stop?" act={() => stop(agent.id)} />}
    </>
  )
}

/** Opens the event behind the alert in the log of its agent. */
function openDetails({ agent_id, source_seq }: AlertView): void {
  location.hash = `${agent_id ? agentAddress(agent_id) : '#/'}?event=${source_seq}`
}

/**
 * Raises the limit by `more`, or the server's suggestion, which the label names: "Approve $25 increase". An agent that was
 * stopped for it continues.
 */
export function ApproveIncrease({ agent, more }: { agent: AgentView; more?: Usd | undefined }) {
  const { usd, label } = increaseOf(agent.limit_usd, more)
  const continues = agent.state === 'budget_stopped' && hasRun(agent, snapshot.value)
  return (
    <AdminAction
      key={agent.limit_usd}
      label={`Approve ${label} ${continues ? 'and resume' : 'increase'}`}
      kind="primary"
      once
      act={() => (continues ? resume(agent.id, usd) : raiseBudget(agent.id, usd))}
    />
  )
}

/** The same for the whole server, or for every run; nothing if that limit no longer exists. */
function ApproveConfigured({ budget, more }: { budget: ConfiguredScope; more: Usd | undefined }) {
  const { server_budget, run_limit_usd } = snapshot.value
  const limit = budget === 'server' ? server_budget?.limit_usd : run_limit_usd
  if (!limit) return null
  const { usd, label } = increaseOf(limit, more)
  const whose = budget === 'server' ? 'the server' : 'every run'
  return (
    <AdminAction
      key={limit}
      label={`Approve ${label} for ${whose}`}
      kind="primary"
      once
      act={() => raiseConfigured(budget, usd)}
    />
  )
}

function increaseOf(limit: Usd, asked: Usd | undefined): { usd: Usd; label: string } {
  const more = asked === undefined ? suggestedIncrease(fromUsd(limit)) : fromUsd(asked)
  const usd = toUsd(more)
  return { usd, label: more % NANOS_PER_USD === 0 ? `$${more / NANOS_PER_USD}` : showUsd(usd) }
}
