/**
 * The vault: secrets by name and environment, each sealed under its own key. This folder seals values and gives them
 * out. Authorization happens where requests come in; delivery to agents is in `rotation.ts`. All other code uses the
 * class here; it is built on `unlock.ts` (the master key), `secret-row.ts` (values in a row), `bound-rows.ts` and
 * `secret-audit.ts` (rows and their audit rows), `live-values.ts` (values in memory).
 *
 * The rules are:
 * - No audit row, no secret: what changes or gives out a value is committed together with its audit row, or not at all.
 * - The audit row of a change contains a keyed hash of the secret's whole row. So an edited, moved, removed or older
 *   row is detected when the vault is opened and at every use; removing the audit row as well is
 *   detected by `audit verify`.
 * - The master key seals one random key (`root-key.ts`): opening it verifies the master key, and row hashes and
 *   originals of incidents use it.
 * - While the vault is open, values are in memory: a call must not wait, and the redactor must know them.
 * - A locked vault blocks nothing else. Errors of operations that need the key explain what to do.
 */
import type { Audit } from '../audit/chain.ts'
import type { Config } from '../config/schema.ts'
import { type Clock, isoTime } from '../core/clock.ts'
import { CageError } from '../core/errors.ts'
import type { Store } from '../db/store.ts'
import type { SecretRow, SecretTable } from '../db/tables/secrets.ts'
import type { StateManager } from '../state/state-manager.ts'
import { brokenRow } from './bound-rows.ts'
import { changeMasterKey } from './change-master-key.ts'
import { type LiveSecret, LiveValues, type SecretValue } from './live-values.ts'
import { CONTENT, ORIGINAL, sealFor, unsealFor } from './originals.ts'
import { newSalt } from './seal.ts'
import { requireName, requireValue, type SecretView, viewOf } from './secret.ts'
import { type Requester, SecretAudit } from './secret-audit.ts'
import { hasPrevious, newRow, previousValueIn, withValue } from './secret-row.ts'
import { CLOSED, type Locked, type Unlocked, unlock } from './unlock.ts'
import { lockedEvent, secretEvent, vaultOpenedEvent } from './vault-events.ts'

export type SecretEnvironment = Config['agent']['environment']

export type VaultState = { state: 'open' } | Locked

export interface VaultOptions {
  store: Store
  state: StateManager
  audit: Audit
  clock: Clock
  /** (Default: none, and the vault stays locked.) */
  masterKey?: string | undefined
  /** Why a configured master key could not be read. */
  masterKeyProblem?: string | undefined
  /** Load every value into memory. (Default: yes; one command does not need it.) */
  loads?: boolean
  /** Receives all current and former secret values since the start, whenever they change. */
  onValues?: (values: readonly SecretValue[]) => void
}

export class Vault {
  readonly #options: VaultOptions
  readonly #table: SecretTable
  readonly #audit: SecretAudit
  readonly #live: LiveValues
  /**
   * Resolves when every value is in memory: with a hundred secrets one and a half seconds after a server could listen.
   * The gateway sends no call before.
   */
  loaded: Promise<void> = Promise.resolve()
  #lock: Unlocked | Locked

  /** Never throws for a missing, weak or wrong key, or for tampered rows: see `state`. */
  static async open(options: VaultOptions): Promise<Vault> {
    const audit = new SecretAudit(options.audit)
    const lock = await unlock({ ...options, audit })
    const vault = new Vault(options, audit, lock)
    vault.#recordState()
    if (lock.state === 'open') lock.rows.check()
    if (options.loads !== false) vault.loaded = vault.#load()
    return vault
  }

  private constructor(options: VaultOptions, audit: SecretAudit, lock: Unlocked | Locked) {
    this.#options = options
    this.#table = options.store.secrets
    this.#audit = audit
    this.#live = new LiveValues(options.onValues)
    this.#lock = lock
  }

  get state(): VaultState {
    return this.#lock.state === 'open' ? { state: 'open' } : this.#lock
  }

  get isLocked(): boolean {
    return this.#lock.state === 'locked'
  }

  /**
   * By name, of one environment or all; works while the vault is locked. `deleted`: include secrets that can be
   * restored.
   */
  list({ environment, deleted = false }: { environment?: string | undefined; deleted?: boolean } = {}): SecretView[] {
    return this.#table
      .all()
      .filter((row) => (environment === undefined || row.environment === environment) && (deleted || !row.deleted_at))
      .map(viewOf)
  }

  /** Works while the vault is locked. Throws CageError `not_found`. */
  get(id: string): SecretView {
    return viewOf(this.#row(id))
  }

  /** Finds a secret that is not deleted; works while the vault is locked. */
  find(name: string, environment: string): SecretView | undefined {
    return this.list({ environment }).find((secret) => secret.name === name)
  }

  /**
   * Throws CageError `bad_request` for an invalid name or a value that no variable can hold, `conflict` when the name
   * exists, `vault_locked`, `database_unusable` when it cannot be audited.
   */
  async create(
    secret: { name: string; environment: SecretEnvironment; value: string },
    by: Requester,
  ): Promise<SecretView> {
    return this.#audit.attempt('create', secret, by, async () => {
      const { name, environment, value } = secret
      requireName(name)
      requireValue(value)
      const salt = newSalt()
      const key = await this.#requireOpen().keys.keyFor(salt)
      this.#requireNone(name, environment)
      const row = newRow(secret, { salt, key }, this.#now())
      this.#requireOpen().rows.commit([row], 'create', by)
      this.#live.remember(row, value)
      this.#options.state.record(secretEvent('secret.created', row, 'was created'))
      return viewOf(row)
    })
  }

  /** Throws CageError `not_found` (also when deleted), `vault_locked`, `vault_broken`, `database_unusable`. */
  async reveal(id: string, by: Requester): Promise<string> {
    return this.#audit.attempt('read', this.#row(id), by, async () => {
      const row = this.#livingRow(id)
      const value = await this.#requireOpen().rows.valueOf(row)
      this.#audit.wasRead(row, by)
      this.#options.state.record(secretEvent('secret.read', row, `was read by ${by.actor}`, by.agentId))
      return value
    })
  }

  /**
   * All values of an environment by name, for an agent that starts: an audit row each, no events. All or nothing.
   * `isWanted`: filters names. (Default: all.) Throws like `reveal`.
   */
  async revealEnvironment(
    environment: string,
    by: Requester,
    isWanted: (name: string) => boolean = () => true,
  ): Promise<Map<string, string>> {
    return this.#audit.attempt('read', { name: '*', environment }, by, async () => {
      const { rows } = this.#requireOpen()
      const wanted = this.#table
        .all()
        .filter((row) => row.environment === environment && row.deleted_at === null && isWanted(row.name))
      const values = await Promise.all(wanted.map(async (row) => [row.name, await rows.valueOf(row)] as const))
      rows.transaction(() => {
        for (const row of wanted) this.#audit.wasRead(row, by)
      })
      return new Map(values)
    })
  }

  /** From memory, without waiting and without an audit row: for calls. */
  valueOf(name: string, environment: string): string | undefined {
    return this.#live.find(name, environment)?.value
  }

  /**
   * The secret that formerly had this value; undefined for anything else, including a current value. Knows the previous
   * value of every secret, and all that were replaced since the start.
   */
  currentOf(formerValue: string): LiveSecret | undefined {
    return this.#live.currentOf(formerValue)
  }

  /**
   * Seals a new value and keeps the previous one. Also repairs a secret whose row is broken.
   * Throws CageError `bad_request`, `not_found`, `vault_locked`, `database_unusable`.
   */
  async update(id: string, value: string, by: Requester): Promise<SecretView> {
    return this.#audit.attempt('update', this.#row(id), by, async () => {
      requireValue(value)
      const before = this.#livingRow(id)
      const isWhole = this.#requireOpen().rows.isWhole(before)
      const salt = isWhole ? before.salt : newSalt()
      const key = await this.#requireOpen().keys.keyFor(salt)
      const row = this.#livingRow(id)
      const { rows } = this.#requireOpen()
      if (isWhole !== rows.isWhole(row) || (isWhole && !row.salt.equals(salt))) throw brokenRow(row)
      const next = withValue(row, value, { salt, key }, { now: this.#now(), keepsOld: isWhole })
      rows.commit([next], 'update', by)
      this.#live.remember(next, value)
      this.#options.state.record(secretEvent('secret.updated', next, 'has a new value'))
      return viewOf(next)
    })
  }

  /** Restores the previous value as a new version. Throws like `update`, and `conflict` when there is none. */
  async rollBack(id: string, by: Requester): Promise<SecretView> {
    return this.#audit.attempt('roll_back', this.#row(id), by, async () => {
      const key = await this.#requireOpen().keys.keyFor(this.#livingRow(id).salt)
      const row = this.#livingRow(id)
      const { rows } = this.#requireOpen()
      if (!hasPrevious(row)) {
        throw new CageError('conflict', `${row.name} has no previous value to roll back to`, { hint: ROTATE_HINT })
      }
      const value = rows.isWhole(row) ? previousValueIn(row, key) : undefined
      if (value === undefined) throw rows.broken(row)
      const next = withValue(row, value, { salt: row.salt, key }, { now: this.#now(), keepsOld: true })
      rows.commit([next], 'roll_back', by)
      this.#live.remember(next, value)
      this.#options.state.record(secretEvent('secret.updated', next, 'was rolled back to its previous value'))
      return viewOf(next)
    })
  }

  /** The secret can be restored. Throws CageError `not_found`, `vault_locked`, `database_unusable`. */
  async delete(id: string, by: Requester): Promise<SecretView> {
    return this.#audit.attempt('delete', this.#row(id), by, async () => {
      const { rows } = this.#requireOpen()
      const now = this.#now()
      const row = { ...this.#livingRow(id), updated_at: now, deleted_at: now }
      rows.commit([row], 'delete', by)
      this.#live.forget(id)
      this.#options.state.record(secretEvent('secret.deleted', row, 'was deleted'))
      return viewOf(row)
    })
  }

  /** Throws CageError `not_found`, `conflict` when it is not deleted or the name is taken, and like `reveal`. */
  async restore(id: string, by: Requester): Promise<SecretView> {
    const { name, environment, deleted_at } = this.#row(id)
    return this.#audit.attempt('restore', { name, environment }, by, async () => {
      if (deleted_at === null) throw new CageError('conflict', `${name} of ${environment} is not deleted`)
      const value = await this.#requireOpen().rows.valueOf(this.#row(id))
      this.#requireNone(name, environment)
      const row = { ...this.#row(id), updated_at: this.#now(), deleted_at: null }
      this.#requireOpen().rows.commit([row], 'restore', by)
      this.#live.remember(row, value)
      this.#options.state.record(secretEvent('secret.restored', row, 'was restored'))
      return viewOf(row)
    })
  }

  /** A key for one purpose, the same at each start under one master key; undefined while the vault is locked. */
  keyFor(purpose: string): Uint8Array | undefined {
    return this.#lock.state === 'open' ? this.#lock.root.keyFor(purpose) : undefined
  }

  /** Seals an incident's original text for its row; undefined while the vault is locked. */
  sealOriginal(incidentId: string, value: string): Buffer | undefined {
    if (this.#lock.state === 'locked') return undefined
    return sealFor(this.#lock.root, ORIGINAL, incidentId, Buffer.from(value))
  }

  /** Seals the content of a call for its row; undefined while the vault is locked. */
  sealContent(callId: string, value: Buffer): Buffer | undefined {
    return this.#lock.state === 'open' ? sealFor(this.#lock.root, CONTENT, callId, value) : undefined
  }

  /** Opens a result of `sealContent`. Throws CageError `vault_locked`, `vault_broken`. */
  openContent(callId: string, sealed: Uint8Array): Buffer {
    const value = unsealFor(this.#requireOpen().root, CONTENT, callId, sealed)
    if (value) return value
    throw new CageError('vault_broken', `the kept content of ${callId} cannot be decrypted`)
  }

  /**
   * Opens a result of `sealOriginal`; an audit row records who read it. Throws CageError `vault_locked`,
   * `vault_broken`.
   */
  openOriginal(incidentId: string, sealed: Uint8Array, { role, actor }: Requester): string {
    const { root } = this.#requireOpen()
    this.#options.audit.append({ role, actor, action: 'incident.read', target: incidentId })
    const value = unsealFor(root, ORIGINAL, incidentId, sealed)
    if (value) return value.toString('utf8')
    throw new CageError('vault_broken', `the stored original of ${incidentId} cannot be decrypted`)
  }

  /**
   * Reseals everything, all or nothing. Returns the number of secrets. Throws CageError `bad_request` for a weak key,
   * `vault_locked`, `vault_broken` for a broken row, `database_unusable`.
   */
  async changeMasterKey(masterKey: string, by: Requester): Promise<number> {
    const options = { ...this.#options, audit: this.#audit }
    const { unlocked, secrets } = await changeMasterKey(options, this.#requireOpen(), masterKey, by)
    this.#lock = unlocked
    return secrets
  }

  /** Forgets keys and values. */
  close(): void {
    if (this.#lock.state === 'open') this.#lock.keys.forget()
    this.#lock = CLOSED
    this.#live.clear()
  }

  /** Loads every value into memory, two derivations at a time. Broken ones are reported and skipped. */
  async #load(): Promise<void> {
    const lock = this.#lock
    if (lock.state === 'locked') return
    const living = this.#table.all().filter((row) => row.deleted_at === null)
    await Promise.all(
      living.map(async (row) => {
        const value = await lock.rows.valueOf(row).catch(() => undefined)
        // Meanwhile the secret may have got another value, or the vault may have been closed.
        if (value === undefined || this.#lock !== lock || !lock.rows.isWhole(row)) return
        this.#live.remember(row, value)
        const former = previousValueIn(row, await lock.keys.keyFor(row.salt))
        if (former !== undefined) this.#live.retire(former, row)
      }),
    )
  }

  /** Throws CageError `vault_locked`. Called again after each await: the vault may have been closed meanwhile. */
  #requireOpen(): Unlocked {
    if (this.#lock.state === 'open') return this.#lock
    const { message, hint } = this.#lock
    throw new CageError('vault_locked', `the vault is locked: ${message}`, { hint })
  }

  #row(id: string): SecretRow {
    const row = this.#table.get(id)
    if (row) return row
    throw new CageError('not_found', `there is no secret "${id}"`, { hint: 'list them with "iron-cage secrets list"' })
  }

  #livingRow(id: string): SecretRow {
    const row = this.#row(id)
    if (row.deleted_at === null) return row
    throw new CageError('not_found', `the secret ${row.name} of ${row.environment} was deleted`, {
      hint: 'restore it with "iron-cage secrets restore"',
    })
  }

  #requireNone(name: string, environment: string): void {
    if (!this.find(name, environment)) return
    throw new CageError('conflict', `the secret ${name} of ${environment} already exists`, { hint: ROTATE_HINT })
  }

  /** Records nothing for users without a vault or a key. */
  #recordState(): void {
    const { state, masterKeyProblem } = this.#options
    const lock = this.#lock
    const secrets = this.list({ deleted: true })
    if (lock.state === 'open') {
      state.record(vaultOpenedEvent(secrets))
      return
    }
    const { why, message, hint } = lock
    const isUnused = secrets.length === 0 && state.read().vault.state === 'locked'
    if (why === 'no_key' && masterKeyProblem === undefined && isUnused) return
    state.record(lockedEvent(message, { why, hint, secrets }))
  }

  #now(): string {
    return isoTime(this.#options.clock.now())
  }
}

const ROTATE_HINT = 'give it a new value with "iron-cage secrets rotate"'
