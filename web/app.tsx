/** The screen: header, banner, the panels of one agent or the overview of all, toasts. Renders the store. */
import { useSignal } from '@preact/signals'
import { useEffect, useLayoutEffect } from 'preact/hooks'
import { showUsd } from '../src/money.ts'
import { limitsOf } from '../src/state/figures.ts'
import type { AgentView } from '../src/state/snapshot.ts'
import { showDuration, showName } from '../src/units.ts'
import { acknowledge, pause, resume, stop } from './actions.ts'
import { address, agentAddress, reportAddress } from './address.ts'
import { ApiPage } from './api-page.tsx'
import { roundTripMs } from './connection.ts'
import { CostPanel } from './panels/cost.tsx'
import { EventLogPanel } from './panels/event-log.tsx'
import { AlertActions, ApproveIncrease, NotificationsPanel } from './panels/notifications.tsx'
import { Overview } from './panels/overview.tsx'
import { PerformancePanel } from './panels/performance.tsx'
import { ProtectionPanel } from './panels/protection.tsx'
import { SecretsPanel } from './panels/secrets.tsx'
import { StateTag, StatusPanel } from './panels/status.tsx'
import { Action, Empty } from './parts/parts.tsx'
import { ReportPage, reportedAgent } from './report.tsx'
import { session, signOut } from './session.ts'
import { SignIn } from './sign-in.tsx'
import {
  agent,
  agentOf,
  agents,
  alerts,
  dismiss,
  fresh,
  heardAt,
  isAlive,
  isConnected,
  log,
  openAlerts,
  serverNow,
  shown,
  snapshot,
  staleMs,
} from './store.ts'

/** A longer gap between frames is shown as stale, in ms. */
const STALE_MS = 4_000
/** Toasts that are not critical disappear after this time. */
const TOAST_MS = 8_000

export function App() {
  if (session.value === 'starting') return null
  if (session.value !== 'open') return <SignIn />
  const reported = reportedAgent()
  if (reported) return <ReportPage agentId={reported} />
  if (address.value?.isApi) return <ApiPage />
  if (heardAt.value === null) return <Empty title="Connecting …" />
  return <Dashboard />
}

function Dashboard() {
  const isPresenting = useSignal(false)
  const showsKeys = useSignal(false)
  useKeys({
    '/': () => document.getElementById('search')?.focus(),
    p: () => {
      isPresenting.value = !isPresenting.value
    },
    '?': () => {
      showsKeys.value = !showsKeys.value
    },
    Escape: () => {
      showsKeys.value = false
    },
  })
  const current = agent.value
  const isStale = staleMs.value > STALE_MS
  return (
    <div class={`app ${isPresenting.value ? 'presenting' : ''} ${isStale ? 'stale' : ''}`}>
      <Header current={current} onPresent={() => (isPresenting.value = !isPresenting.value)} />
      {isStale && (
        <div class="banner bad" role="status">
          <b>Stale for {showDuration(staleMs.value)}</b>
          <span>The server does not answer. Showing the last known state. Reconnecting…</span>
        </div>
      )}
      {current && !isStale && <BudgetBanner current={current} />}
      {current && shown.value ? (
        <main>
          <StatusPanel agent={current} figures={shown.value} nowMs={serverNow.value} />
          <CostPanel agent={current} figures={shown.value} limits={limitsOf(current, snapshot.value)} />
          <ProtectionPanel agent={current} figures={shown.value} nowMs={serverNow.value} />
          <NotificationsPanel alerts={alerts.value} circuits={circuits()} nowMs={serverNow.value} />
          <PerformancePanel agent={current} figures={shown.value} circuits={circuits()} nowMs={serverNow.value} />
          <EventLogPanel events={log.value} agentId={current.id} />
          <SecretsPanel snapshot={snapshot.value} environment={current.environment} nowMs={serverNow.value} />
        </main>
      ) : (
        <NoAgentShown />
      )}
      <Toasts />
      {showsKeys.value && <Keys />}
    </div>
  )
}

/** All agents, or what to do when there is none, or when the requested one does not exist. */
function NoAgentShown() {
  if (agents.value.length === 0) {
    return (
      <Empty title="No agent yet">
        <p>Start one in a terminal:</p>
        <pre>iron-cage start agent.py --budget 50</pre>
      </Empty>
    )
  }
  const id = address.value?.agentId
  if (id) {
    return (
      <Empty title={`No agent ${id}`}>
        <p>It does not exist, or it ended long ago.</p>
        <p>
          <a href="#/">All agents</a>
        </p>
      </Empty>
    )
  }
  return (
    <Overview
      agents={agents.value}
      alerts={alerts.value}
      circuits={circuits()}
      events={log.value}
      snapshot={snapshot.value}
      nowMs={serverNow.value}
    />
  )
}

const circuits = () => Object.values(snapshot.value.circuits)

function Header({ current, onPresent }: { current: AgentView | undefined; onPresent: () => void }) {
  return (
    <header class="top">
      <a class="home" href="#/" aria-label="Iron Cage: all agents">
        <svg class="mark" viewBox="0 0 26 26" aria-hidden="true">
          <path d="M4 11C4 6 8 2.8 13 2.8S22 6 22 11v11.2H4zM9 6v16M13 3v19M17 6v16M4 16h18" />
        </svg>
        <h1>Iron Cage</h1>
      </a>
      {agents.value.length > 0 && <AgentChoice current={current} />}
      {current && <span class="pill environment">{current.environment}</span>}
      <span class="space" />
      <span class="pill live" role="status">
        <i class={isConnected.value ? 'dot ok' : 'dot bad'} />
        {isConnected.value ? `Live · ${roundTripMs.value ?? 0} ms` : 'Not connected'}
      </span>
      {current && (
        <a class="btn ghost" href={reportAddress(current.id)}>
          Report
        </a>
      )}
      <button type="button" class="btn ghost" title="Larger type (p)" onClick={onPresent}>
        Present
      </button>
      <Action label="Sign out" kind="ghost" act={signOut} />
      {current && <AgentButtons current={current} />}
    </header>
  )
}

function AgentChoice({ current }: { current: AgentView | undefined }) {
  if (agents.value.length === 1 && current) {
    return (
      <span class="pill">
        {current.name} <span class="mono">{current.id}</span>
      </span>
    )
  }
  return (
    <select
      class="pill"
      aria-label="Agent"
      value={current?.id ?? ''}
      onChange={({ currentTarget }) => {
        location.hash = currentTarget.value ? agentAddress(currentTarget.value) : '#/'
      }}
    >
      <option value="">All agents ({agents.value.length})</option>
      {agents.value.map(({ id, name, state }) => (
        <option key={id} value={id}>
          {name} {id} · {showName(state)}
        </option>
      ))}
    </select>
  )
}

function AgentButtons({ current }: { current: AgentView }) {
  if (!isAlive(current)) return <StateTag state={current.state} />
  const canAct = current.pid !== null && (current.state === 'running' || current.state === 'paused')
  return (
    <>
      {current.state === 'paused' ? (
        <Action label="Resume" kind="primary" act={() => resume(current.id)} />
      ) : (
        <Action label="Pause" act={() => pause(current.id)} disabled={!canAct} />
      )}
      <Action label="Stop" confirm="Really stop?" act={() => stop(current.id)} disabled={!canAct} />
    </>
  )
}

/** The budget is nearly spent and the alert is still open: shown above everything else. */
function BudgetBanner({ current }: { current: AgentView }) {
  const alert = openAlerts.value.find(
    ({ kind, agent_id, budget }) => agent_id === current.id && kind.startsWith('budget_') && !budget,
  )
  if (!alert || !shown.value || !(current.warned || current.exhausted)) return null
  const canPause = current.state === 'running'
  return (
    <div class={`banner ${current.exhausted ? 'bad' : 'warn'}`} role="status">
      <b>
        {alert.title}: {showUsd(current.spent_usd)} of {showUsd(current.limit_usd)} spent
      </b>
      <span>{current.exhausted ? 'Nothing more is paid.' : `${outlook()}The agent stops by itself at 100%.`}</span>
      <span class="space" />
      <ApproveIncrease agent={current} />
      {canPause && <Action label="Pause agent" act={() => pause(current.id)} />}
      <Action label="Continue" kind="ghost" act={() => acknowledge(alert.id)} />
    </div>
  )
}

const outlook = (): string => (shown.value?.projection ? `${shown.value.projection}. ` : '')

/** New alerts, newest first. Never takes the focus; critical ones stay until they are closed. */
function Toasts() {
  const [alert, ...others] = fresh.value
  return (
    <div class="toasts" role="log" aria-label="New notifications">
      {alert && (
        <Toast key={alert.id} id={alert.id} stays={alert.level === 'CRIT'}>
          <b>{alert.title}</b>
          <p>{alert.detail}</p>
          <div class="buttons">
            <AlertActions alert={alert} agent={agentOf(alert)} circuits={circuits()} />
            <span class="space" />
            {others.length > 0 && <span class="dim">{others.length} more</span>}
            <button type="button" class="btn ghost" onClick={() => dismiss(alert.id)}>
              Close
            </button>
          </div>
        </Toast>
      )}
    </div>
  )
}

function Toast({ id, stays, children }: { id: string; stays: boolean; children: preact.ComponentChildren }) {
  useEffect(() => {
    if (stays) return
    const timer = setTimeout(() => dismiss(id), TOAST_MS)
    return () => clearTimeout(timer)
  }, [id, stays])
  return <article class={`note toast ${stays ? 'bad' : 'warn'}`}>{children}</article>
}

const KEYS = [
  ['/', 'search the event log'],
  ['p', 'larger type, for a projector'],
  ['?', 'these keys'],
]

const Keys = () => (
  <dialog open class="keys" aria-label="Keys">
    {KEYS.map(([key, does]) => (
      <p key={key}>
        <kbd>{key}</kbd> {does}
      </p>
    ))}
    <p>
      <a href="#/api">The API of this server</a>
    </p>
  </dialog>
)

function useKeys(keys: Record<string, () => void>): void {
  // Immediately after rendering, so that no key press is lost.
  useLayoutEffect(() => {
    const listen = (event: KeyboardEvent) => {
      const isTyping = (event.target as HTMLElement).matches('input, select, textarea')
      if (event.ctrlKey || event.metaKey || event.altKey || (isTyping && event.key !== 'Escape')) return
      // A modal dialog receives all keys itself.
      if (document.querySelector(':modal')) return
      const act = keys[event.key]
      if (!act) return
      event.preventDefault()
      act()
    }
    addEventListener('keydown', listen)
    return () => removeEventListener('keydown', listen)
  }, [])
}
