/** What the screen is drawn from. `snapshot` changes by the server's own `applyEvent`, one event at a time. */
import { computed, signal } from '@preact/signals'
import type { RuntimeEvent } from '../src/events.ts'
import { applyEvent } from '../src/state/apply-event.ts'
import { figures } from '../src/state/figures.ts'
import { type AlertView, emptySnapshot, type Snapshot } from '../src/state/snapshot.ts'

export const snapshot = signal<Snapshot>(emptySnapshot())
/** When the last frame came, local ms; null before the first. */
export const heardAt = signal<number | null>(null)
export const isConnected = signal(false)
/** Server time less local time, in ms. */
const offsetMs = signal(0)
const tick = signal(Date.now())
setInterval(() => {
  tick.value = Date.now()
}, 500)

/** The server's time in ms since 1970, twice a second. */
export const serverNow = computed(() => tick.value + offsetMs.value)
/** How long nothing was heard, in ms, while the connection is gone; 0 otherwise. */
export const staleMs = computed(() =>
  isConnected.value || heardAt.value === null ? 0 : Math.max(0, tick.value - heardAt.value),
)

/** The agent in the address, else the newest. */
const address = signal(location.hash)
addEventListener('hashchange', () => {
  address.value = location.hash
})
export const agents = computed(() => Object.values(snapshot.value.agents).reverse())
export const agent = computed(() => {
  const id = /^#\/agents\/([^/]+)/.exec(address.value)?.[1]
  return (id && snapshot.value.agents[id]) || agents.value[0]
})
export const shown = computed(() => (agent.value ? figures(agent.value, serverNow.value) : undefined))

/** What concerns the agent on screen, or everybody. */
export const alerts = computed(() =>
  snapshot.value.alerts.filter(({ agent_id }) => agent_id === null || agent_id === agent.value?.id),
)
export const openAlerts = computed(() => alerts.value.filter(({ acknowledged }) => !acknowledged))

/** Alerts that came while somebody looked, for the toasts. */
export const fresh = signal<AlertView[]>([])
/** The event log: everything heard since the page was opened, and older pages that were asked for; oldest first. */
export const log = signal<RuntimeEvent[]>([])
const LOG_KEPT = 5_000

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
  log.value = [...log.value, ...events].slice(-LOG_KEPT)
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
