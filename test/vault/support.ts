/** A vault on a new database, as a server opens it; `reopen` opens it again, as after a restart. */

import { onTestFinished } from 'vitest'
import { Audit } from '../../src/audit/chain.ts'
import { systemClock } from '../../src/core/clock.ts'
import type { RuntimeEvent } from '../../src/core/events.ts'
import { openStore, type Store } from '../../src/db/store.ts'
import { StateManager } from '../../src/state/state-manager.ts'
import type { SecretValue } from '../../src/vault/live-values.ts'
import type { Requester } from '../../src/vault/secret-audit.ts'
import { Vault } from '../../src/vault/vault.ts'
import { temporaryFile } from '../support/temporary-file.ts'

export const KEY = 'k7Qe2n0Z-VtYxW1rBs9uLcDpAa3fGh5JmX8iOo4q_Ew'
export const OTHER_KEY = 'Zp0X3c8vB1nM6qW9eR2tY5uI7oP4aS-dF_gHjKlLkJh'
export const ADMIN: Requester = { role: 'admin', actor: 'operator', agentId: null }

export interface OpenVault {
  vault: Vault
  store: Store
  state: StateManager
  audit: Audit
  events: RuntimeEvent[]
  /** The last values that the redactor received. */
  values(): readonly string[]
  close(): Promise<void>
}

export const newPath = (): string => temporaryFile()

export async function openVault(path = newPath(), masterKey: string | null = KEY): Promise<OpenVault> {
  const store = openStore({ path })
  const faults: unknown[] = []
  const onFault = (error: unknown) => faults.push(error)
  const state = new StateManager({ store, clock: systemClock, retentionDays: 7, onFault })
  const audit = new Audit({ store, state, clock: systemClock, onBroken: onFault, onFault })
  const events: RuntimeEvent[] = []
  state.subscribe((event) => events.push(event))
  let values: readonly string[] = []
  const onValues = (received: readonly SecretValue[]) => {
    values = received.map(({ value }) => value)
  }
  const vault = await Vault.open({
    store,
    state,
    audit,
    clock: systemClock,
    masterKey: masterKey ?? undefined,
    onValues,
  })
  await vault.loaded
  let isClosed = false
  const close = async () => {
    if (isClosed) return
    isClosed = true
    vault.close()
    state.close()
    await audit.close()
    store.close()
    if (faults.length > 0) throw faults[0]
  }
  onTestFinished(close)
  return { vault, store, state, audit, events, values: () => values, close }
}
