import { Leases, type LeasesOptions } from '../budget/leases.ts'
import type { StateManager } from '../state/state-manager.ts'
import { journalIdOf, readMembership } from './membership.ts'
import { panelBank } from './panel-client.ts'

/** Opens the leases of a runtime that has joined a Control Panel; undefined for any other. Must be closed. */
export function openLeases({
  store,
  state,
  clock,
}: Pick<LeasesOptions, 'store' | 'clock'> & { state: StateManager }): Leases | undefined {
  const membership = readMembership(store)
  if (!membership) return undefined
  const { url, token } = membership
  const bank = panelBank({ url, token, clock })
  return new Leases({ store, clock, bank, url, journalId: journalIdOf(store), record: (event) => state.record(event) })
}
