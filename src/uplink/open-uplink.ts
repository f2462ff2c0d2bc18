import { Leases, type LeasesOptions } from '../budget/leases.ts'
import type { NewEvent } from '../events.ts'
import type { AgentId } from '../ids.ts'
import type { StateManager } from '../state/state-manager.ts'
import { journalIdOf, readMembership } from './membership.ts'
import { panelBank, sendTelemetry } from './panel-client.ts'
import { Telemetry } from './telemetry.ts'

type UplinkOptions = Pick<LeasesOptions, 'store' | 'clock'> & { state: StateManager }

/** Opens the leases of a runtime that has joined a Control Panel; undefined for any other. Must be closed. */
export function openLeases({ store, state, clock }: UplinkOptions): Leases | undefined {
  const membership = readMembership(store)
  if (!membership) return undefined
  const { url, token } = membership
  const bank = panelBank({ url, token, clock })
  const agentName = (agentId: AgentId) => state.read().agents[agentId]?.name ?? null
  const record = (event: NewEvent) => state.record(event)
  return new Leases({ store, clock, bank, url, journalId: journalIdOf(store), agentName, record })
}

/** Sends what happens to the panel, likewise. */
export function openTelemetry({ store, state, clock }: UplinkOptions): Telemetry | undefined {
  const membership = readMembership(store)
  if (!membership) return undefined
  const { url, token } = membership
  const send = sendTelemetry({ url, token, clock })
  return new Telemetry({ state, clock, journalId: journalIdOf(store), send })
}
