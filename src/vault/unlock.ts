/** Turns the master key into an open vault, or into the reason why it stays locked and what to do. */

import type { EventData } from '../core/events.ts'
import type { Store } from '../db/store.ts'
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
  /** Why a configured master key could not be read. */
  masterKeyProblem?: string | undefined
}

export async function unlock(options: UnlockOptions): Promise<Unlocked | Locked> {
  const tried = await tryKey(options)
  if (tried.state === 'locked') return tried
  const { keys, root = await newRootKey(options.store, keys) } = tried
  return { state: 'open', keys, root, rows: new BoundRows(options, keys, root) }
}

export interface KeyTrial extends Pick<UnlockOptions, 'masterKey' | 'masterKeyProblem'> {
  /** (Default: there is none yet.) */
  store?: Pick<Store, 'meta' | 'secrets'> | undefined
}

/** `root`: opened with the key; undefined when nothing was sealed yet. */
export interface Fitting {
  state: 'fits'
  keys: Keys
  root: RootKey | undefined
}

/** Checks whether a master key is the right one. Changes nothing. */
export async function tryKey({ masterKey, masterKeyProblem, store }: KeyTrial): Promise<Fitting | Locked> {
  if (masterKeyProblem !== undefined) return unreadable(masterKeyProblem)
  const stored = store?.meta.get('vault')
  if (masterKey === undefined) {
    const hint = stored === undefined ? KEYGEN_HINT : 'set IRON_CAGE_MASTER_KEY_FILE to the key that sealed this vault'
    return locked('no_key', 'there is no master key', `${hint}, then start again`)
  }
  const weakness = weaknessOf(masterKey)
  if (weakness) return locked('weak_key', `the master key is too weak: ${weakness}`, KEYGEN_HINT)
  const keys = new Keys(masterKey)
  if (stored !== undefined) {
    const root = await RootKey.open(keys, stored)
    return root ? { state: 'fits', keys, root } : WRONG_KEY
  }
  if (store && store.secrets.all().length > 0) return ROOT_KEY_GONE
  return { state: 'fits', keys, root: undefined }
}

async function newRootKey(store: Store, keys: Keys): Promise<RootKey> {
  const root = RootKey.random()
  store.meta.put('vault', await root.sealedUnder(keys))
  return root
}

const locked = (why: Locked['why'], message: string, hint: string): Locked => ({ state: 'locked', why, message, hint })

const unreadable = (problem: string): Locked =>
  locked('no_key', 'the master key cannot be read', `correct IRON_CAGE_MASTER_KEY_FILE (${problem}) and start again`)

const WRONG_KEY = locked(
  'wrong_key',
  'the master key is not the one that this vault was sealed with',
  'start with the right key; after "iron-cage secrets change-master-key" that is the new one',
)

const ROOT_KEY_GONE = locked(
  'broken',
  'there are secrets, but the key that the master key opens is missing from the database',
  'restore the database from a backup',
)

export const CLOSED = locked('no_key', 'the vault is closed', 'start the server again')
