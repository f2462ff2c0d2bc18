/**
 * The key that central secrets are sealed with: random, in the database only as the master key of the panel's processes
 * sealed it. All processes of one panel need the same master key; without it everything but secrets works.
 */
import { asCageError, CageError } from '../../core/errors.ts'
import { KEYGEN_HINT, weaknessOf } from '../../vault/master-key.ts'
import { RootKey } from '../../vault/root-key.ts'
import { Keys } from '../../vault/seal.ts'
import type { PanelDatabase } from '../db/database.ts'

export interface MasterKey {
  /** (Default: none, and secrets stay locked.) */
  masterKey?: string | undefined
  /** Why a configured one could not be read. */
  masterKeyProblem?: string | undefined
}

/** Returns the key that belongs to an organization. Throws CageError `vault_locked`. */
export type SecretKey = (organizationId: string) => Uint8Array

const META = 'vault'

/** `problem`: why secrets stay locked although a key is configured; undefined without a problem. */
export async function openSecretKey(
  database: PanelDatabase,
  { masterKey, masterKeyProblem }: MasterKey,
): Promise<{ keyFor: SecretKey; problem: string | undefined }> {
  const opened = await open(database, masterKey, masterKeyProblem).catch((error: unknown) => asCageError(error))
  if (opened instanceof CageError) {
    const keyFor = () => {
      throw opened
    }
    return { keyFor, problem: masterKey === undefined && masterKeyProblem === undefined ? undefined : opened.message }
  }
  return { keyFor: (organizationId) => opened.keyFor(`secrets of ${organizationId}`), problem: undefined }
}

/** Throws CageError `vault_locked`. */
async function open(database: PanelDatabase, masterKey: string | undefined, problem: string | undefined) {
  if (problem !== undefined) throw locked(`its master key cannot be read: ${problem}`)
  if (masterKey === undefined) throw locked('it was started without a master key')
  const weakness = weaknessOf(masterKey)
  if (weakness !== undefined) throw locked(`its master key is too weak: ${weakness}`)
  const keys = new Keys(masterKey)
  const made = await RootKey.random().sealedUnder(keys)
  const stored = await database.money(async (sql) => {
    await sql.rows('INSERT INTO panel_meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING', [META, made])
    const [row] = await sql.rows<{ value: string }>('SELECT value FROM panel_meta WHERE key = $1', [META])
    return row!.value
  })
  const root = await RootKey.open(keys, stored)
  keys.forget()
  if (!root) throw locked('its master key is not the one that sealed them')
  return root
}

const locked = (why: string): CageError =>
  new CageError('vault_locked', `the secrets of the Control Panel are locked: ${why}`, {
    hint: `${KEYGEN_HINT} for every process of the panel, then start it again`,
  })
