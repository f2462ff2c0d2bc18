/** The state behind the screen. `snapshot` is changed by the server's own `applyEvent`, one event at a time. */
import { computed, effect, signal } from '@preact/signals'
import type { RuntimeEvent } from '../src/core/events.ts'
import { applyEvent } from '../src/state/apply-event.ts'
import { shownFigures } from '../src/state/figures-text.ts'
import { type AgentView, type AlertView, emptySnapshot, type Snapshot } from '../src/state/snapshot.ts'
import { address, agentAddress, settleOn } from './address.ts'

export const snapshot = signal<Snapshot>(emptySnapshot())
/** When the last frame arrived, local ms; null before the first. */
export const heardAt = signal<number | null>(null)
export const isConnected = signal(false)
/** Server time minus local time, in ms. */
const offsetMs = signal(0)
const tick = signal(Date.now())
setInterval(() => {
  tick.value = Date.now()
}, 500)

/** The server's time in ms since 1970, updated twice per second. */
export const serverNow = computed(() => tick.value + offsetMs.value)
/** Time since the last frame, in ms. The server sends one at least every two seconds. */
export const staleMs = computed(() => (heardAt.value === null ? 0 : Math.max(0, tick.value - heardAt.value)))

/** Running agents first, then the newest first. */
export const agents = computed(() =>
  Object.values(snapshot.value.agents).sort(
    (a, b) => Number(isAlive(b)) - Number(isAlive(a)) || b.started_at.localeCompare(a.started_at),
  ),
)
/** The circuits of providers, models and services. */
export const circuits = computed(() => Object.values(snapshot.value.circuits))
/** An ended agent that the snapshot no longer has, loaded for its page. */
export const pastAgent = signal<AgentView | undefined>(undefined)
/** The agent in the address; undefined for all agents. */
export const agent = computed(() => {
  const id = address.value?.agentId
  if (!id) return undefined
  return snapshot.value.agents[id] ?? (pastAgent.value?.id === id ? pastAgent.value : undefined)
})
export const shown = computed(() => (agent.value ? shownFigures(agent.value, serverNow.value) : undefined))

export const isAlive = ({ ended_at, state }: AgentView): boolean => ended_at === null || state === 'starting'

const TROUBLE: readonly AgentView['state'][] = ['failed', 'crash_loop', 'budget_stopped', 'blocked']
/** A person has to decide something about it, or should know why it ended. */
export const needsAttention = ({ state, exhausted, warned }: AgentView): boolean =>
  TROUBLE.includes(state) || (ALIVE.includes(state) && (exhausted || warned))
const ALIVE: readonly AgentView['state'][] = ['starting', 'running', 'paused', 'stopping']

/** Without an address: shows the only agent, or all. */
effect(() => {
  if (address.value || agents.value.length === 0) return
  const alive = agents.value.filter(isAlive)
  const only = alive.length === 1 ? alive[0] : agents.value.length === 1 ? agents.value[0] : undefined
  if (only) settleOn(agentAddress(only.id))
})

export const agentOf = ({ agent_id }: AlertView): AgentView | undefined =>
  agent_id === null ? undefined : snapshot.value.agents[agent_id]

/** Alerts of the agent on screen, and those of no agent. */
export const alerts = computed(() => {
  const id = agent.value?.id
  return id ? snapshot.value.alerts.filter(({ agent_id }) => !agent_id || agent_id === id) : snapshot.value.alerts
})
export const openAlerts = computed(() => alerts.value.filter(({ acknowledged }) => !acknowledged))

/** Alerts that arrived since the page was opened, for the toasts. */
export const fresh = signal<AlertView[]>([])
/** The event log: all events since the page was opened, and loaded older pages; oldest first. */
export const log = signal<RuntimeEvent[]>([])
const MAX_LOG_ROWS = 100_000
/** Removed in one step, so that a full log is not searched again with every frame. */
const LOG_SPARE = 5_000

export function takeSnapshot(next: Snapshot, serverTime: string): void {
  heard(serverTime)
  snapshot.value = next
  log.value = next.recent
}

export function takeEvents(events: readonly RuntimeEvent[], serverTime: string): void {
  heard(serverTime)
  let next = snapshot.value
  for (const event of events) if (event.seq > next.seq) next = applyEvent(next, event)
  const raised = new Set(events.flatMap((event) => (event.type === 'alert.raised' ? [event.data.alert_id] : [])))
  fresh.value = [...next.alerts.filter(({ id }) => raised.has(id)), ...fresh.value]
  if (events.length > 0) {
    const all = [...log.value, ...events]
    log.value = all.length > MAX_LOG_ROWS + LOG_SPARE ? all.slice(-MAX_LOG_ROWS) : all
  }
  snapshot.value = next
}

export const dismiss = (id: string): void => {
  fresh.value = fresh.value.filter((alert) => alert.id !== id)
}

export const addOlder = (events: readonly RuntimeEvent[]): void => {
  const first = log.value[0]?.seq ?? Number.POSITIVE_INFINITY
  log.value = [...events.filter(({ seq }) => seq < first).sort((a, b) => a.seq - b.seq), ...log.value]
}

export function heard(serverTime: string): void {
  heardAt.value = Date.now()
  offsetMs.value = Date.parse(serverTime) - Date.now()
}
