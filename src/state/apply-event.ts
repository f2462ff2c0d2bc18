/**
 * The only way the shared state changes: `applyEvent(snapshot, event)` returns the next snapshot and touches neither
 * argument. The server runs it after the event's row is committed, the browser when the event arrives. Free of Node.
 */
import type { RuntimeEvent } from '../core/events.ts'
import { applyToAgents } from './slices/agents.ts'
import { applyToAlerts } from './slices/alerts.ts'
import { applyToRunLimit, applyToServerBudget } from './slices/budgets.ts'
import { applyToCircuits } from './slices/circuits.ts'
import { applyToSecrets, applyToVault } from './slices/vault.ts'
import { MAX_RECENT_EVENTS, type Snapshot } from './snapshot.ts'

/** Each part of the snapshot has a file in `slices/`, which sees every event. */
export const applyEvent = (snapshot: Snapshot, event: RuntimeEvent): Snapshot => ({
  ...snapshot,
  seq: event.seq,
  at: event.at,
  recent: keepLast(snapshot.recent, withoutFacts(event), MAX_RECENT_EVENTS),
  server: applyToServer(snapshot.server, event),
  run_limit_usd: applyToRunLimit(snapshot.run_limit_usd, event),
  alerts: applyToAlerts(snapshot.alerts, event),
  server_budget: applyToServerBudget(snapshot.server_budget, event),
  circuits: applyToCircuits(snapshot.circuits, event),
  vault: applyToVault(snapshot.vault, event),
  secrets: applyToSecrets(snapshot.secrets, event),
  agents: applyToAgents(snapshot.agents, event),
})

function applyToServer(server: Snapshot['server'], event: RuntimeEvent): Snapshot['server'] {
  if (event.type === 'server.stopped') return null
  if (event.type !== 'server.started') return server
  return { version: event.data.version, url: event.data.url, started_at: event.at }
}

/** Two hundred events with their data would be megabytes in everyone's first frame. */
function withoutFacts(event: RuntimeEvent): RuntimeEvent {
  if (event.type !== 'agent.output' || !event.data.facts) return event
  const { facts: _facts, ...data } = event.data
  return { ...event, data }
}

function keepLast<T>(items: readonly T[], item: T, max: number): T[] {
  const kept = items.slice(1 - max)
  kept.push(item)
  return kept
}
