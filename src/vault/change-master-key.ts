/**
 * Changes the master key: reseals everything in one transaction. If the program is killed, either the old key or the
 * new one opens all of it.
 */

import { CageError } from '../core/errors.ts'
import type { SecretRow } from '../db/tables/secrets.ts'
import { BoundRows, type BoundRowsOptions } from './bound-rows.ts'
import { weaknessOf } from './master-key.ts'
import { CONTENT, ORIGINAL, sealFor, unsealFor } from './originals.ts'
import { RootKey } from './root-key.ts'
import { Keys, newSalt } from './seal.ts'
import type { Requester } from './secret-audit.ts'
import { underOtherKey } from './secret-row.ts'
import type { Unlocked } from './unlock.ts'

/** Throws CageError `bad_request` for a weak key, `vault_broken` for a broken row, `database_unusable`. */
export async function changeMasterKey(
  options: BoundRowsOptions,
  old: Unlocked,
  masterKey: string,
  by: Requester,
): Promise<{ unlocked: Unlocked; secrets: number }> {
  requireStrong(masterKey)
  const keys = new Keys(masterKey)
  const root = RootKey.random()
  const sealedRoot = await root.sealedUnder(keys)
  const resealed = await Promise.all(options.store.secrets.all().map((row) => reseal(row, old, keys)))
  const rows = new BoundRows(options, keys, root)
  const { incidents, contents } = options.store
  rows.transaction(() => {
    options.store.meta.put('vault', sealedRoot)
    rows.commit(resealed, 'reseal', by)
    for (const { id, sealed } of incidents.originals()) {
      const value = unsealFor(old.root, ORIGINAL, id, sealed)
      if (value) incidents.putOriginal(id, sealFor(root, ORIGINAL, id, value))
    }
    for (const row of contents.all()) {
      const value = unsealFor(old.root, CONTENT, row.call_id, row.sealed)
      if (value) contents.put({ ...row, sealed: sealFor(root, CONTENT, row.call_id, value) })
    }
  })
  old.keys.forget()
  return { unlocked: { state: 'open', keys, root, rows }, secrets: resealed.length }
}

function requireStrong(masterKey: string): void {
  const weakness = weaknessOf(masterKey)
  if (!weakness) return
  throw new CageError('bad_request', `the new master key is too weak: ${weakness}`, {
    hint: 'make one with "iron-cage keygen"',
  })
}

async function reseal(row: SecretRow, old: Unlocked, keys: Keys): Promise<SecretRow> {
  if (!old.rows.isWhole(row)) throw old.rows.broken(row)
  const salt = newSalt()
  const sealing = { salt, key: await keys.keyFor(salt) }
  const sealed = underOtherKey(row, await old.keys.keyFor(row.salt), sealing)
  if (!sealed) throw old.rows.broken(row)
  return sealed
}
