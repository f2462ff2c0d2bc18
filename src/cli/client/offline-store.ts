/** Opens the database of a runtime for commands that also work while no server runs. */
import { claimDatabase, takeDatabase } from '../../access/claim.ts'
import { Audit } from '../../audit/chain.ts'
import { type Money, openMoney } from '../../budget/open-money.ts'
import type { Config } from '../../config/schema.ts'
import { systemClock } from '../../core/clock.ts'
import { CageError } from '../../core/errors.ts'
import { newToken } from '../../core/tokens.ts'
import { openStore, type Store } from '../../db/store.ts'
import { StateManager } from '../../state/state-manager.ts'
import { Vault } from '../../vault/vault.ts'
import type { Terminal } from '../output/terminal.ts'

export interface OfflineStore {
  store: Store
  state: StateManager
  audit: Audit
  money: Money
}

/**
 * Calls `use` with the opened store; creates the database when there is none. Takes the database as a server does, so
 * that none can start meanwhile, and marks open calls of a killed server as unresolved. Throws CageError
 * `already_running` or `database_unusable`.
 */
export async function withOfflineStore<T>(config: Config, use: (offline: OfflineStore) => T | Promise<T>): Promise<T> {
  const { path } = config.db
  const taken = await takeDatabase(path, newToken('ic'))
  try {
    const store = openStore({ path })
    try {
      const release = await claimDatabase(store)
      try {
        return await useStore(config, store, use)
      } finally {
        release()
      }
    } finally {
      store.close()
    }
  } finally {
    taken.release()
  }
}

async function useStore<T>(config: Config, store: Store, use: (offline: OfflineStore) => T | Promise<T>): Promise<T> {
  const { path } = config.db
  const faults: unknown[] = []
  const onFault = (error: unknown) => faults.push(error)
  const parts = { store, clock: systemClock, onFault }
  const state = new StateManager({ ...parts, retentionDays: config.log.retention_days })
  const audit = new Audit({ ...parts, state, onBroken: onFault })
  const money = openMoney(config, { ...parts, state })
  try {
    money.ledger.recover()
    const result = await use({ store, state, audit, money })
    if (faults.length === 0) return result
    throw new CageError('database_unusable', `cannot write to ${path}`, { cause: faults[0], facts: { path } })
  } finally {
    money.ledger.close()
    await audit.close()
    state.close()
  }
}

/** Calls `use` with the vault of the store; without a master key it is locked. */
export async function withOfflineVault<T>(
  offline: OfflineStore,
  { env }: Terminal,
  use: (vault: Vault) => Promise<T>,
): Promise<T> {
  const vault = await Vault.open({ ...offline, clock: systemClock, loads: false, ...env.readMasterKey() })
  try {
    return await use(vault)
  } finally {
    vault.close()
  }
}
