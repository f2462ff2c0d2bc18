/** The header, the panels of one agent or the overview of all, and the latest events. Renders the store. */
import { useSignal } from '@preact/signals'
import type { VNode } from 'preact'
import { useEffect } from 'preact/hooks'
import { showDuration } from '../../src/core/units.ts'
import { limitsOf } from '../../src/state/figures.ts'
import type { AgentView } from '../../src/state/snapshot.ts'
import { type Address, address } from '../address.ts'
import { BoothPage } from '../booth/booth-page.tsx'
import { CallsPage } from '../calls/calls-page.tsx'
import { HistoryPage } from '../history/history-page.tsx'
import { AuditPage } from '../pages/audit-page.tsx'
import { IncidentsPage } from '../pages/incidents-page.tsx'
import { CostPanel } from '../panels/cost.tsx'
import { EventLogPanel } from '../panels/event-log.tsx'
import { NotificationsPanel } from '../panels/notifications.tsx'
import { PerformancePanel } from '../panels/performance.tsx'
import { ProtectionPanel } from '../panels/protection.tsx'
import { SecretsPanel } from '../panels/secrets.tsx'
import { StatusPanel } from '../panels/status.tsx'
import { Empty } from '../parts/parts.tsx'
import { Shell } from '../parts/shell.tsx'
import { useLoaded } from '../parts/use-loaded.ts'
import { SettingsPage } from '../settings/settings-page.tsx'
import { agent, agents, alerts, circuits, log, pastAgent, serverNow, shown, snapshot, staleMs } from '../store.ts'
import { BudgetBanner } from './budget-banner.tsx'
import { FirstSteps } from './first-steps.tsx'
import { Header } from './header.tsx'
import { Keys, useKeys } from './keys.tsx'
import { Menu } from './menu.tsx'
import { Overview } from './overview.tsx'
import { useTabState } from './tab-state.ts'
import { Toasts } from './toasts.tsx'
import './dashboard.css'

/** Pages other than that of the agents. */
const PAGES: Partial<Record<Address['page'], () => VNode>> = {
  calls: CallsPage,
  runs: HistoryPage,
  incidents: IncidentsPage,
  audit: AuditPage,
  settings: SettingsPage,
  booth: BoothPage,
}

/** A longer gap between frames is shown as stale, in ms. */
const STALE_MS = 4_000

export function Dashboard() {
  const isPresenting = useSignal(false)
  const showsMenu = useSignal(false)
  const showsKeys = useSignal(false)
  const present = () => {
    isPresenting.value = !isPresenting.value
  }
  useKeys({
    '/': () => document.getElementById('search')?.focus(),
    p: present,
    'mod+k': () => {
      showsMenu.value = true
    },
    '?': () => {
      showsKeys.value = !showsKeys.value
    },
    Escape: () => {
      showsKeys.value = false
    },
  })
  const current = agent.value
  const PageShown = PAGES[address.value?.page ?? 'agents']
  const isStale = staleMs.value > STALE_MS
  useTabState(current)
  return (
    <Shell class={`${isPresenting.value ? 'presenting' : ''} ${isStale ? 'stale' : ''}`}>
      <Header current={current} onMenu={() => (showsMenu.value = true)} />
      {isStale && (
        <div class="banner bad" role="status">
          <b>Stale for {showDuration(staleMs.value)}</b>
          <span>The server does not answer. Showing the last known state. Reconnecting…</span>
        </div>
      )}
      {current && !isStale && <BudgetBanner current={current} />}
      {PageShown ? (
        <PageShown />
      ) : current && shown.value ? (
        <main class="panels">
          <StatusPanel agent={current} figures={shown.value} nowMs={serverNow.value} />
          <CostPanel agent={current} figures={shown.value} limits={limitsOf(current, snapshot.value)} />
          <ProtectionPanel agent={current} figures={shown.value} nowMs={serverNow.value} />
          <NotificationsPanel alerts={alerts.value} circuits={circuits.value} nowMs={serverNow.value} />
          <PerformancePanel agent={current} figures={shown.value} circuits={circuits.value} nowMs={serverNow.value} />
          <EventLogPanel events={log.value} agentId={current.id} />
          <SecretsPanel snapshot={snapshot.value} environment={current.environment} nowMs={serverNow.value} />
        </main>
      ) : (
        <NoAgentShown />
      )}
      <Toasts />
      {showsKeys.value && <Keys />}
      {showsMenu.value && (
        <Menu
          {...(current && { currentId: current.id })}
          onPresent={present}
          onClose={() => (showsMenu.value = false)}
        />
      )}
    </Shell>
  )
}

/** Loads an agent that the snapshot no longer has. */
function PastAgent({ id }: { id: string }) {
  const { value, fault } = useLoaded<{ agent: AgentView }>(`/api/agents/${encodeURIComponent(id)}`)
  useEffect(() => {
    if (value.value) pastAgent.value = value.value.agent
  }, [value.value])
  if (fault.value === null) return <Empty title="Loading …" />
  return (
    <Empty title={`No agent ${id}`}>
      <p>{fault.value}</p>
      <p>
        <a href="#/runs">All runs</a>
      </p>
    </Empty>
  )
}

/** All agents, or what to do when there is none, or when the requested one does not exist. */
function NoAgentShown() {
  if (agents.value.length === 0) {
    return <FirstSteps />
  }
  const id = address.value?.agentId
  if (id) return <PastAgent key={id} id={id} />
  return (
    <Overview
      agents={agents.value}
      alerts={alerts.value}
      circuits={circuits.value}
      events={log.value}
      snapshot={snapshot.value}
      nowMs={serverNow.value}
    />
  )
}
