/** What the database file holds, for commands that also work while no server runs. */
import { existsSync } from 'node:fs'
import { claimDatabase, readServerFile, takeDatabase } from '../access/server-file.ts'
import { Audit } from '../audit/chain.ts'
import { type Ledger, openLedger } from '../budget/ledger.ts'
import { systemClock } from '../clock.ts'
import type { Config } from '../config/schema.ts'
import type { CallTable } from '../db/calls.ts'
import { openStore, type Store } from '../db/store.ts'
import { CageError } from '../errors.ts'
import { StateManager } from '../state/state-manager.ts'
import { newToken } from '../tokens.ts'

export interface Stored {
  store: Store
  state: StateManager
  audit: Audit
  ledger: Ledger
  calls: CallTable
}

/** True when there is a database and no server has it. */
export const isUnserved = async ({ db }: Config): Promise<boolean> =>
  existsSync(db.path) && !(await readServerFile(db.path))

/**
 * Lets `use` work on the database file, which is made when there is none. Takes it like a server would, so that none can
 * start meanwhile, and like one turns what a killed server left open into unresolved rows. Throws CageError
 * `already_running` or `database_unusable`.
 */
export async function withStored<T>(config: Config, use: (stored: Stored) => T | Promise<T>): Promise<T> {
  const { path } = config.db
  const taken = await takeDatabase(path, newToken('ic'))
  try {
    const store = openStore({ path })
    try {
      const release = await claimDatabase(store)
      try {
        return await useDatabase(config, store, use)
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

async function useDatabase<T>(config: Config, store: Store, use: (stored: Stored) => T | Promise<T>): Promise<T> {
  const { path } = config.db
  const faults: unknown[] = []
  const onFault = (error: unknown) => faults.push(error)
  const parts = { store, clock: systemClock, onFault }
  const state = new StateManager({ ...parts, retentionDays: config.log.retention_days })
  const audit = new Audit({ ...parts, state, onBroken: onFault })
  const ledger = openLedger(config.budget, { ...parts, state })
  try {
    ledger.recover()
    const result = await use({ store, state, audit, ledger, calls: store.calls })
    if (faults.length === 0) return result
    throw new CageError('database_unusable', `cannot write to ${path}`, { cause: faults[0], facts: { path } })
  } finally {
    ledger.close()
    await audit.close()
    state.close()
  }
}
