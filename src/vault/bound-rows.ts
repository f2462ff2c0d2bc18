/**
 * Binds the rows of secrets to the audit: the audit row of a secret's last change contains a keyed hash of the whole
 * row. Both are committed together or not at all. A row that was edited, moved, removed or replaced by an older one no
 * longer matches, and a row that does not match yields no value.
 */
import { createHmac } from 'node:crypto'
import { CageError } from '../core/errors.ts'
import { isStorageFault } from '../db/storage-fault.ts'
import type { Store } from '../db/store.ts'
import type { SecretRow, SecretTable } from '../db/tables/secrets.ts'
import type { StateManager } from '../state/state-manager.ts'
import type { RootKey } from './root-key.ts'
import { type Keys, PARAMETERS, withLengths } from './seal.ts'
import type { Requester, SecretAudit, SecretChange } from './secret-audit.ts'
import { valueIn } from './secret-row.ts'
import { brokenEvent } from './vault-events.ts'

export interface BoundRowsOptions {
  store: Store
  state: StateManager
  audit: SecretAudit
}

export class BoundRows {
  readonly #options: BoundRowsOptions
  readonly #table: SecretTable
  readonly #keys: Keys
  readonly #hashKey: Uint8Array
  /** By id, the row's hash from the secret's last change; undefined when its audit row was edited. */
  readonly #hashes = new Map<string, string | undefined>()
  /** The ids already reported as broken. */
  readonly #reported = new Set<string>()

  /** No row is intact before `check` has read the audit, or before the row was committed here. */
  constructor(options: BoundRowsOptions, keys: Keys, root: RootKey) {
    this.#options = options
    this.#table = options.store.secrets
    this.#keys = keys
    this.#hashKey = root.keyFor('vault rows')
  }

  /** Compares all rows with the audit and reports those that differ. */
  check(): void {
    const missing = new Map<string, string>()
    for (const [id, { name, rowHash }] of this.#options.audit.lastChanges(this.#table)) {
      this.#hashes.set(id, rowHash)
      missing.set(id, name)
    }
    for (const row of this.#table.all()) {
      missing.delete(row.id)
      if (!this.isWhole(row)) this.broken(row)
    }
    for (const [id, name] of missing) this.#reportBroken(id, `the secret ${name} (${id}) is missing from its table`)
  }

  /** True when the row is as it was last written. */
  isWhole(row: SecretRow): boolean {
    return row.parameters === PARAMETERS && this.#hashes.get(row.id) === this.#hashOf(row)
  }

  /** Reports the row once, and returns the error to throw. */
  broken(row: SecretRow): CageError {
    const error = brokenRow(row)
    this.#reportBroken(row.id, error.message)
    return error
  }

  /** Throws CageError `vault_broken`. */
  async valueOf(row: SecretRow): Promise<string> {
    if (!this.isWhole(row)) throw this.broken(row)
    const value = valueIn(row, await this.#keys.keyFor(row.salt))
    if (value === undefined) throw this.broken(row)
    return value
  }

  /** Writes rows and their audit rows atomically. Throws CageError `database_unusable`. */
  commit(rows: readonly SecretRow[], operation: SecretChange, by: Requester): void {
    const hashes = rows.map((row) => this.#hashOf(row))
    this.transaction(() =>
      rows.forEach((row, index) => {
        this.#table.put(row)
        this.#options.audit.changed(operation, row, by, hashes[index]!)
      }),
    )
    rows.forEach((row, index) => {
      this.#hashes.set(row.id, hashes[index])
      this.#reported.delete(row.id)
    })
  }

  /** Throws CageError `database_unusable`. */
  transaction(work: () => void): void {
    try {
      this.#options.store.transaction(work)
    } catch (error) {
      if (!isStorageFault(error)) throw error
      throw new CageError('database_unusable', 'the vault cannot be written, so nothing was changed', { cause: error })
    }
  }

  #reportBroken(id: string, problem: string): void {
    if (this.#reported.has(id)) return
    this.#reported.add(id)
    this.#options.state.record(brokenEvent(id, problem))
  }

  /** Over every column: this binds those that are not sealed with the value. */
  #hashOf(row: SecretRow): string {
    const columns = [
      row.id,
      row.name,
      row.environment,
      row.version,
      row.masked,
      row.parameters,
      row.salt,
      row.nonce,
      row.ciphertext,
      row.previous_version,
      row.previous_nonce,
      row.previous_ciphertext,
      row.created_at,
      row.updated_at,
      row.rotated_at,
      row.deleted_at,
    ]
    return createHmac('sha256', this.#hashKey).update(withLengths(columns)).digest('hex')
  }
}

export const brokenRow = ({ id, name, environment }: SecretRow): CageError =>
  new CageError(
    'vault_broken',
    `the row of the secret ${name} of ${environment} (${id}) does not match its last recorded change`,
    { facts: { secret_id: id } },
  )
