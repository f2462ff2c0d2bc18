/** From the master key to an open vault, or to the reason why it stays locked and what to do. */
import type { Database } from '../db/database.ts'
import { metaTable } from '../db/meta.ts'
import { secretTable } from '../db/secrets.ts'
import type { EventData } from '../events.ts'
import { BoundRows, type BoundRowsOptions } from './bound-rows.ts'
import { KEYGEN_HINT, weaknessOf } from './master-key.ts'
import { RootKey } from './root-key.ts'
import { Keys } from './seal.ts'

export interface Unlocked {
  state: 'open'
  keys: Keys
  root: RootKey
  rows: BoundRows
}

export interface Locked {
  state: 'locked'
  why: EventData['vault.locked']['why']
  message: string
  hint: string
}

export interface UnlockOptions extends BoundRowsOptions {
  masterKey?: string | undefined
  /** Why there is no master key although one is named. */
  masterKeyProblem?: string | undefined
}

export async function unlock(options: UnlockOptions): Promise<Unlocked | Locked> {
  const { masterKey, masterKeyProblem = 'there is no master key', database } = options
  if (masterKey === undefined) return locked('no_key', masterKeyProblem, `${KEYGEN_HINT}, then start again`)
  const weakness = weaknessOf(masterKey)
  if (weakness) return locked('weak_key', `the master key is too weak: ${weakness}`, KEYGEN_HINT)
  const keys = new Keys(masterKey)
  const stored = metaTable(database).get('vault')
  if (stored === undefined && secretTable(database).all().length > 0) return ROOT_KEY_GONE
  const root = stored === undefined ? await newRootKey(database, keys) : await RootKey.open(keys, stored)
  return root ? { state: 'open', keys, root, rows: new BoundRows(options, keys, root) } : WRONG_KEY
}

async function newRootKey(database: Database, keys: Keys): Promise<RootKey> {
  const root = RootKey.random()
  metaTable(database).put('vault', await root.sealedUnder(keys))
  return root
}

const locked = (why: Locked['why'], message: string, hint: string): Locked => ({ state: 'locked', why, message, hint })

const WRONG_KEY = locked(
  'wrong_key',
  'the master key is not the one that this vault was sealed with',
  'start with the right key; after "iron-cage secrets change-master-key" that is the new one',
)

const ROOT_KEY_GONE = locked(
  'broken',
  'there are secrets, but what the master key opens is gone from the database',
  'put the database back from a backup',
)

export const CLOSED = locked('no_key', 'the vault is closed', 'start the server again')
