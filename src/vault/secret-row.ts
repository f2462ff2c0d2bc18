/**
 * How values are stored in the row of a secret: the current and the previous one, each sealed with its secret and
 * version. Pure except for randomness; `bound-rows.ts` checks that a row is as it was last written.
 */

import { newSecretId } from '../core/ids.ts'
import type { SecretRow } from '../db/tables/secrets.ts'
import { type About, PARAMETERS, type Sealed, seal, unseal } from './seal.ts'
import { mask } from './secret.ts'

/** The keys that a value is sealed with. */
export interface Sealing {
  salt: Buffer
  /** Derived from the master key and this salt. */
  key: Buffer
}

export function newRow(
  { name, environment, value }: { name: string; environment: string; value: string },
  { salt, key }: Sealing,
  now: string,
): SecretRow {
  const bound = { id: newSecretId(), name, environment, version: 1, parameters: PARAMETERS }
  return {
    ...bound,
    masked: mask(value),
    salt,
    ...seal(key, Buffer.from(value), aboutValue(bound, 1)),
    previous_version: null,
    previous_nonce: null,
    previous_ciphertext: null,
    created_at: now,
    updated_at: now,
    rotated_at: null,
    deleted_at: null,
  }
}

/** Returns the row with a new value. `keepsOld`: the previous value can be restored. */
export function withValue(
  row: SecretRow,
  value: string,
  { salt, key }: Sealing,
  { now, keepsOld }: { now: string; keepsOld: boolean },
): SecretRow {
  const next = { ...row, version: row.version + 1, parameters: PARAMETERS, salt }
  return {
    ...next,
    masked: mask(value),
    ...seal(key, Buffer.from(value), aboutValue(next, next.version)),
    previous_version: keepsOld ? row.version : null,
    previous_nonce: keepsOld ? row.nonce : null,
    previous_ciphertext: keepsOld ? row.ciphertext : null,
    updated_at: now,
    rotated_at: now,
  }
}

/** Returns the row with the same values under another key; undefined when one does not open. */
export function underOtherKey(row: SecretRow, oldKey: Buffer, { salt, key }: Sealing): SecretRow | undefined {
  const previous = previousOf(row)
  const value = unseal(oldKey, row, aboutValue(row, row.version))
  const before = previous && unseal(oldKey, previous, aboutValue(row, previous.version))
  if (value === undefined || (previous && before === undefined)) return undefined
  const sealedBefore = previous && before && seal(key, before, aboutValue(row, previous.version))
  return {
    ...row,
    salt,
    ...seal(key, value, aboutValue(row, row.version)),
    previous_nonce: sealedBefore?.nonce ?? null,
    previous_ciphertext: sealedBefore?.ciphertext ?? null,
  }
}

/** Undefined when it does not open with this key. */
export const valueIn = (row: SecretRow, key: Buffer): string | undefined =>
  unseal(key, row, aboutValue(row, row.version))?.toString('utf8')

export const hasPrevious = (row: SecretRow): boolean => previousOf(row) !== undefined

/** Undefined when there is none, or it does not open with this key. */
export function previousValueIn(row: SecretRow, key: Buffer): string | undefined {
  const previous = previousOf(row)
  return previous && unseal(key, previous, aboutValue(row, previous.version))?.toString('utf8')
}

function previousOf(row: SecretRow): (Sealed & { version: number }) | undefined {
  const { previous_version: version, previous_nonce: nonce, previous_ciphertext: ciphertext } = row
  return version === null || nonce === null || ciphertext === null ? undefined : { version, nonce, ciphertext }
}

type BoundColumns = Pick<SecretRow, 'id' | 'name' | 'environment' | 'parameters'>

const aboutValue = ({ id, name, environment, parameters }: BoundColumns, version: number): About => [
  'iron-cage secret 1',
  id,
  name,
  environment,
  version,
  parameters,
]
