/**
 * The vault: secrets by name and environment, each sealed under a key of its own (`seal.ts`). This folder seals and gives
 * out; who may ask is decided where requests come in, what an agent does with a new value in `rotation.ts`.
 *
 * The rules are:
 * - No audit row, no secret: what changes or gives out a value is committed together with its row of the audit, or not at all.
 * - The row of the audit that tells of a change holds a keyed hash of the whole row of the secret. So an edited, moved,
 *   removed or older row is seen when the vault is opened and at every look at it; who also wants to remove the row of the
 *   audit has `audit verify` against him.
 * - The master key seals one random key (`meta`, "vault"): opening it is the check of the master key, and row hashes and
 *   originals of incidents use it.
 * - While the vault is open, values are in memory: the road of a call may not wait, and the redactor must know them.
 * - A locked vault locks nothing else. Everything that needs the key says then what to do.
 */
import { createHmac, hkdfSync, randomBytes } from 'node:crypto'
import type { Audit, Entry } from '../audit/chain.ts'
import { type Clock, isoTime } from '../clock.ts'
import type { Config } from '../config/schema.ts'
import { type Database, isStorageFault } from '../db/database.ts'
import { incidentTable } from '../db/incidents.ts'
import { metaTable } from '../db/meta.ts'
import { type SecretRow, type SecretTable, secretTable } from '../db/secrets.ts'
import { asCageError, CageError } from '../errors.ts'
import type { EventData, SecretFacts } from '../events.ts'
import { newSecretId } from '../ids.ts'
import type { StateManager } from '../state/state-manager.ts'
import { KEYGEN_HINT, weaknessOf } from './master-key.ts'
import { type About, Keys, newSalt, PARAMETERS, type Sealed, seal, unseal, withLengths } from './seal.ts'
import { mask, requireName, requireValue } from './secret.ts'

export type SecretEnvironment = Config['agent']['environment']

/** Who asks. */
export interface Requester {
  role: Entry['role']
  /** A person's or token's name, an agent's id, "iron-cage". */
  actor: string
  /** The agent that asks, or for which it is asked. */
  agentId: string | null
}

/** What may be shown of a secret at any time. */
export type SecretView = Pick<
  SecretRow,
  'id' | 'name' | 'environment' | 'masked' | 'version' | 'created_at' | 'updated_at' | 'rotated_at' | 'deleted_at'
>

/** A secret in memory. */
export interface LiveSecret {
  id: string
  name: string
  environment: string
  version: number
  value: string
}

export type VaultState =
  | { state: 'open' }
  | { state: 'locked'; why: EventData['vault.locked']['why']; message: string; hint: string }

export interface VaultOptions {
  database: Database
  state: StateManager
  audit: Audit
  clock: Clock
  /** (Default: there is none, and the vault stays locked.) */
  masterKey?: string | undefined
  /** Why there is no master key although one is named. */
  masterKeyProblem?: string | undefined
  /** Bring every value into memory. (Default: yes; one command does not need it.) */
  loads?: boolean
  /** Told all values that are or were secret since the start, whenever these change. */
  onValues?: (values: readonly string[]) => void
}

type Change = 'create' | 'update' | 'roll_back' | 'delete' | 'restore' | 'reseal'

/** As many former values are known; the oldest are forgotten first. */
const MOST_FORMER = 1_000

export class Vault {
  readonly #options: VaultOptions
  readonly #table: SecretTable
  readonly #meta: ReturnType<typeof metaTable>
  /**
   * Resolves when every value is in memory: with a hundred secrets that is a second and a half after a server could
   * listen. No call goes through the gateway before.
   */
  loaded: Promise<void> = Promise.resolve()
  #state: VaultState = { state: 'open' }
  #keys: Keys | undefined
  /** The random key that the master key seals. */
  #root: Buffer | undefined
  /** By id, the hash that the last change of a secret gave its row. */
  readonly #hashes = new Map<string, string>()
  /** What was told to be broken, by id: once is enough. */
  readonly #told = new Set<string>()
  readonly #live = new Map<string, LiveSecret>()
  readonly #byName = new Map<string, LiveSecret>()
  /** Values that are not used any more, and whose they were. */
  readonly #former = new Map<string, string>()

  /** Never throws for a key that is missing, weak or wrong, or for rows that were tampered with: `state` tells. */
  static async open(options: VaultOptions): Promise<Vault> {
    const vault = new Vault(options)
    vault.#state = await vault.#unlock()
    vault.#tellState()
    vault.#checkRows()
    if (options.loads !== false) vault.loaded = vault.#load()
    return vault
  }

  private constructor(options: VaultOptions) {
    this.#options = options
    this.#table = secretTable(options.database)
    this.#meta = metaTable(options.database)
  }

  get state(): VaultState {
    return this.#state
  }

  get isLocked(): boolean {
    return this.#state.state === 'locked'
  }

  /**
   * Throws CageError `bad_request` for a name that is no environment name or a value that no variable can hold,
   * `conflict` when there is one of that name, `vault_locked`, `database_unusable` when it cannot be audited.
   */
  async create(
    { name, environment, value }: { name: string; environment: SecretEnvironment; value: string },
    by: Requester,
  ): Promise<SecretView> {
    return this.#audited('create', name, environment, by, async () => {
      requireName(name)
      requireValue(value)
      const salt = newSalt()
      const key = await this.#openKeys().keyFor(salt)
      this.#requireNone(name, environment)
      const now = this.#now()
      const bound = { id: newSecretId(), name, environment, version: 1, parameters: PARAMETERS }
      const row: SecretRow = {
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
      this.#commit([row], 'create', by)
      this.#remember(row, value)
      this.#tell('secret.created', row, `${name} of ${environment} was put into the vault`)
      return viewOf(row)
    })
  }

  /** By name, of one environment or all; works while the vault is locked. `deleted`: also those that can be restored. */
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

  /** The living secret of that name; works while the vault is locked. */
  find(name: string, environment: string): SecretView | undefined {
    return this.list({ environment }).find((secret) => secret.name === name)
  }

  /** Throws CageError `not_found`, also for a deleted one, `vault_locked`, `vault_broken`, `database_unusable`. */
  async reveal(id: string, by: Requester): Promise<string> {
    const { name, environment } = this.#row(id)
    return this.#audited('read', name, environment, by, async () => {
      const row = this.#livingRow(id)
      const value = await this.#valueOf(row)
      this.#append('read', row, by)
      this.#tell('secret.read', row, `${row.name} of ${row.environment} was read by ${by.actor}`, by.agentId)
      return value
    })
  }

  /**
   * Every living value of an environment by name, for an agent that starts: a row of the audit each, no events. All or
   * nothing. `isWanted`: which names. (Default: all.) Throws as `reveal` does.
   */
  async revealEnvironment(
    environment: string,
    by: Requester,
    isWanted: (name: string) => boolean = () => true,
  ): Promise<Map<string, string>> {
    return this.#audited('read', '*', environment, by, async () => {
      this.#openKeys()
      const rows = this.#table
        .all()
        .filter((row) => row.environment === environment && row.deleted_at === null && isWanted(row.name))
      const values = await Promise.all(rows.map(async (row) => [row.name, await this.#valueOf(row)] as const))
      this.#transaction(() => {
        for (const row of rows) this.#append('read', row, by)
      })
      return new Map(values)
    })
  }

  /** From memory, without waiting and without a row of the audit: for the road of a call. */
  valueOf(name: string, environment: string): string | undefined {
    return this.#byName.get(nameKey(name, environment))?.value
  }

  /**
   * The living secret that had this value before; undefined for anything else, also for a value that is in use. Knows the
   * value before the last one of every secret, and all that were replaced since the start.
   */
  currentOf(formerValue: string): LiveSecret | undefined {
    const id = this.#former.get(formerValue)
    return id === undefined ? undefined : this.#live.get(id)
  }

  /**
   * Seals a new value and keeps the one before it. Also for a secret whose row is broken: it is whole again then.
   * Throws CageError `bad_request`, `not_found`, `vault_locked`, `database_unusable`.
   */
  async update(id: string, value: string, by: Requester): Promise<SecretView> {
    const { name, environment } = this.#row(id)
    return this.#audited('update', name, environment, by, async () => {
      requireValue(value)
      const before = this.#livingRow(id)
      const isWhole = this.#isWhole(before)
      const salt = isWhole ? before.salt : newSalt()
      const key = await this.#openKeys().keyFor(salt)
      const row = this.#livingRow(id)
      if (isWhole !== this.#isWhole(row) || (isWhole && !row.salt.equals(salt))) throw brokenRow(row)
      const next = resealed(row, salt, key, value, this.#now(), isWhole)
      this.#commit([next], 'update', by)
      this.#remember(next, value)
      this.#tell('secret.updated', next, `${name} of ${environment} has a new value`)
      return viewOf(next)
    })
  }

  /** Back to the value before the last update, as a version of its own. Throws as `update`, and `conflict` without one. */
  async rollBack(id: string, by: Requester): Promise<SecretView> {
    const { name, environment } = this.#row(id)
    return this.#audited('roll_back', name, environment, by, async () => {
      const key = await this.#openKeys().keyFor(this.#livingRow(id).salt)
      const row = this.#livingRow(id)
      const previous = previousOf(row)
      if (!previous) {
        throw new CageError('conflict', `${name} has no earlier value to go back to`, {
          hint: 'give it a new value with "iron-cage secrets rotate"',
        })
      }
      const value = this.#isWhole(row) ? unseal(key, previous, aboutValue(row, previous.version)) : undefined
      if (value === undefined) throw this.#broken(row)
      const next = resealed(row, row.salt, key, value.toString('utf8'), this.#now(), true)
      this.#commit([next], 'roll_back', by)
      this.#remember(next, value.toString('utf8'))
      this.#tell('secret.updated', next, `${name} of ${environment} has its earlier value again`)
      return viewOf(next)
    })
  }

  /** Can be restored. Throws CageError `not_found`, `vault_locked`, `database_unusable`. */
  async delete(id: string, by: Requester): Promise<SecretView> {
    const { name, environment } = this.#row(id)
    return this.#audited('delete', name, environment, by, async () => {
      this.#openKeys()
      const now = this.#now()
      const row = { ...this.#livingRow(id), updated_at: now, deleted_at: now }
      this.#commit([row], 'delete', by)
      this.#forget(id)
      this.#tell('secret.deleted', row, `${name} of ${environment} was deleted`)
      return viewOf(row)
    })
  }

  /** Throws CageError `not_found`, `conflict` when it is not deleted or the name is taken, and as `reveal` does. */
  async restore(id: string, by: Requester): Promise<SecretView> {
    const { name, environment, deleted_at } = this.#row(id)
    return this.#audited('restore', name, environment, by, async () => {
      if (deleted_at === null) throw new CageError('conflict', `${name} of ${environment} is not deleted`)
      const value = await this.#valueOf(this.#row(id))
      this.#requireNone(name, environment)
      const row = { ...this.#row(id), updated_at: this.#now(), deleted_at: null }
      this.#commit([row], 'restore', by)
      this.#remember(row, value)
      this.#tell('secret.restored', row, `${name} of ${environment} was restored`)
      return viewOf(row)
    })
  }

  /** A key for one purpose, the same at each start under one master key; undefined while the vault is locked. */
  keyFor(purpose: string): Uint8Array | undefined {
    return this.#root && new Uint8Array(hkdfSync('sha256', this.#root, '', `iron-cage ${purpose}`, 32))
  }

  /** What was found, for the row of its incident; undefined while the vault is locked. */
  sealOriginal(incidentId: string, value: string): Buffer | undefined {
    if (this.#root === undefined) return undefined
    return sealOriginal(this.#root, incidentId, Buffer.from(value))
  }

  /** Opens what `sealOriginal` sealed; a row of the audit tells who looked. Throws CageError `vault_locked`, `vault_broken`. */
  openOriginal(incidentId: string, sealed: Uint8Array, by: Requester): string {
    this.#openKeys()
    const { role, actor } = by
    this.#options.audit.append({ role, actor, action: 'incident.read', target: incidentId })
    const value = unsealOriginal(this.#root!, incidentId, sealed)
    if (value) return value.toString('utf8')
    throw new CageError('vault_broken', `what is kept of ${incidentId} is not as it was sealed`)
  }

  /**
   * Seals everything anew under another master key, in one transaction: a program that is killed on the way leaves all of
   * the old or all of the new. Returns how many secrets there are. Throws CageError `bad_request` for a weak key,
   * `vault_locked`, `vault_broken` when a row is, `database_unusable`.
   */
  async changeMasterKey(masterKey: string, by: Requester): Promise<number> {
    const weakness = weaknessOf(masterKey)
    if (weakness) throw weakKey(weakness)
    const old = this.#openKeys()
    const keys = new Keys(masterKey)
    const root = randomBytes(32)
    const wrapped = await wrap(keys, root)
    const incidents = incidentTable(this.#options.database)
    const rows = await Promise.all(
      this.#table.all().map(async (row) => {
        if (!this.#isWhole(row)) throw this.#broken(row)
        const salt = newSalt()
        return (
          resealedUnder(row, await old.keyFor(row.salt), salt, await keys.keyFor(salt)) ??
          Promise.reject(this.#broken(row))
        )
      }),
    )
    const oldRoot = this.#root!
    this.#root = root
    try {
      this.#transaction(() => {
        this.#meta.put('vault', wrapped)
        this.#commit(rows, 'reseal', by)
        for (const { id, sealed } of incidents.originals()) {
          const value = unsealOriginal(oldRoot, id, sealed)
          if (value) incidents.putOriginal(id, sealOriginal(root, id, value))
        }
      })
    } catch (error) {
      this.#root = oldRoot
      this.#readHashes()
      throw error
    }
    this.#keys = keys
    old.forget()
    return rows.length
  }

  /** Forgets keys and values. */
  close(): void {
    this.#keys?.forget()
    this.#keys = undefined
    this.#root = undefined
    this.#live.clear()
    this.#byName.clear()
    this.#former.clear()
    this.#state = { state: 'locked', why: 'no_key', message: 'the vault is closed', hint: 'start the server again' }
  }

  async #unlock(): Promise<VaultState> {
    const { masterKey, masterKeyProblem } = this.#options
    if (masterKey === undefined) {
      const message = masterKeyProblem ?? 'there is no master key'
      return { state: 'locked', why: 'no_key', message, hint: `${KEYGEN_HINT}, then start again` }
    }
    const weakness = weaknessOf(masterKey)
    if (weakness) {
      return { state: 'locked', why: 'weak_key', message: `the master key is too weak: ${weakness}`, hint: KEYGEN_HINT }
    }
    const keys = new Keys(masterKey)
    const stored = this.#meta.get('vault')
    if (stored === undefined) {
      if (this.#table.all().length > 0) return BROKEN
      this.#root = randomBytes(32)
      this.#meta.put('vault', await wrap(keys, this.#root))
      this.#keys = keys
      return { state: 'open' }
    }
    this.#root = await unwrap(keys, stored)
    if (this.#root === undefined) return WRONG_KEY
    this.#keys = keys
    return { state: 'open' }
  }

  /** Nobody who has no vault and no key is bothered with it. */
  #tellState(): void {
    const { state, masterKeyProblem } = this.#options
    const secrets = this.list({ deleted: true })
    const vault = this.#state
    if (vault.state === 'open') {
      const message = `The vault is open, with ${secrets.length} ${secrets.length === 1 ? 'secret' : 'secrets'}`
      state.record({ type: 'vault.opened', level: 'INFO', message, data: { secrets } })
      return
    }
    const { why, message, hint } = vault
    const isUnused = secrets.length === 0 && state.read().vault.state === 'locked'
    if (why === 'no_key' && masterKeyProblem === undefined && isUnused) return
    state.record({
      type: 'vault.locked',
      level: why === 'broken' ? 'CRIT' : 'WARN',
      message: `The vault stays locked: ${message}; ${hint}`,
      data: { why, hint, secrets },
    })
  }

  /** What the audit tells of every row, held against the rows. */
  #checkRows(): void {
    if (this.#root === undefined) return
    const names = this.#readHashes()
    for (const row of this.#table.all()) {
      names.delete(row.id)
      if (!this.#isWhole(row)) this.#broken(row)
    }
    for (const [id, name] of names) this.#tellBroken(id, `the secret ${name} (${id}) has disappeared from its table`)
  }

  /** From the audit. Returns the names of all secrets by id. */
  #readHashes(): Map<string, string> {
    const names = new Map<string, string>()
    for (const change of this.#table.changes()) {
      const { secret_id, row_hash } = readDetails(change.details)
      if (secret_id === undefined || row_hash === undefined) continue
      const isGenuine = this.#options.audit.isAsWritten(change)
      this.#hashes.set(secret_id, isGenuine ? row_hash : 'the row of the audit was edited')
      names.set(secret_id, change.target ?? secret_id)
    }
    return names
  }

  /** Brings every value into memory, two derivations at a time. Broken ones are told and left out. */
  async #load(): Promise<void> {
    if (this.#keys === undefined) return
    const rows = this.#table.all().filter((row) => row.deleted_at === null)
    await Promise.all(
      rows.map(async (row) => {
        const value = await this.#valueOf(row).catch(() => undefined)
        const previous = previousOf(row)
        // While it waited, the secret may have got another value, or the vault been closed.
        if (value === undefined || this.#root === undefined || this.#hashes.get(row.id) !== this.#hashOf(row)) return
        this.#remember(row, value)
        if (!previous) return
        const former = unseal(await this.#openKeys().keyFor(row.salt), previous, aboutValue(row, previous.version))
        if (former) this.#retire(former.toString('utf8'), row.id)
      }),
    )
  }

  /** Throws CageError `vault_locked`. */
  #openKeys(): Keys {
    if (this.#keys) return this.#keys
    const { message, hint } = this.#state as Extract<VaultState, { state: 'locked' }>
    throw new CageError('vault_locked', `the vault is locked: ${message}`, { hint })
  }

  async #valueOf(row: SecretRow): Promise<string> {
    const keys = this.#openKeys()
    if (!this.#isWhole(row)) throw this.#broken(row)
    const value = unseal(await keys.keyFor(row.salt), row, aboutValue(row, row.version))
    if (value === undefined) throw this.#broken(row)
    return value.toString('utf8')
  }

  #isWhole(row: SecretRow): boolean {
    return row.parameters === PARAMETERS && this.#hashes.get(row.id) === this.#hashOf(row)
  }

  #broken(row: SecretRow): CageError {
    const error = brokenRow(row)
    this.#tellBroken(row.id, error.message)
    return error
  }

  #tellBroken(id: string, problem: string): void {
    if (this.#told.has(id)) return
    this.#told.add(id)
    this.#options.state.record({
      type: 'vault.broken',
      level: 'CRIT',
      message: `The vault was tampered with: ${problem}`,
      data: { problem, secret_id: id },
    })
  }

  #row(id: string): SecretRow {
    const row = this.#table.get(id)
    if (row) return row
    throw new CageError('not_found', `there is no secret "${id}"`, { hint: SECRETS_HINT })
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
    throw new CageError('conflict', `there is a secret ${name} of ${environment} already`, {
      hint: 'give it a new value with "iron-cage secrets rotate"',
    })
  }

  /** What fails is in the audit too. */
  async #audited<T>(
    operation: Change | 'read',
    name: string,
    environment: string,
    { role, actor, agentId }: Requester,
    work: () => Promise<T>,
  ): Promise<T> {
    try {
      return await work()
    } catch (error) {
      this.#options.audit.append({
        role,
        actor,
        action: `secret.${operation}`,
        target: name,
        details: { environment, agent_id: agentId, success: false, error: asCageError(error).message },
      })
      throw error
    }
  }

  /** Writes rows and what the audit tells of them, or nothing. */
  #commit(rows: readonly SecretRow[], operation: Change, by: Requester): void {
    const hashes = rows.map((row) => this.#hashOf(row))
    this.#transaction(() =>
      rows.forEach((row, index) => {
        this.#table.put(row)
        this.#append(operation, row, by, hashes[index])
      }),
    )
    rows.forEach((row, index) => {
      this.#hashes.set(row.id, hashes[index]!)
      this.#told.delete(row.id)
    })
  }

  #append(operation: Change | 'read', row: SecretRow, { role, actor, agentId }: Requester, rowHash?: string): void {
    const { id, name, environment, version } = row
    this.#options.audit.append({
      role,
      actor,
      action: `secret.${operation}`,
      target: name,
      details: {
        secret_id: id,
        environment,
        version,
        agent_id: agentId,
        success: true,
        ...(rowHash !== undefined && { row_hash: rowHash }),
      },
    })
  }

  #transaction(work: () => void): void {
    try {
      this.#options.database.transaction(work)
    } catch (error) {
      if (!isStorageFault(error)) throw error
      throw new CageError('database_unusable', 'the vault cannot be written, so nothing was changed', { cause: error })
    }
  }

  #remember(row: SecretRow, value: string): void {
    this.#retireCurrent(row.id)
    const live = { id: row.id, name: row.name, environment: row.environment, version: row.version, value }
    this.#live.set(row.id, live)
    this.#byName.set(nameKey(row.name, row.environment), live)
    this.#former.delete(value)
    this.#tellValues()
  }

  #forget(id: string): void {
    this.#retireCurrent(id)
    this.#live.delete(id)
    this.#tellValues()
  }

  #retireCurrent(id: string): void {
    const current = this.#live.get(id)
    if (!current) return
    this.#byName.delete(nameKey(current.name, current.environment))
    this.#retire(current.value, id)
  }

  #retire(value: string, id: string): void {
    if ([...this.#live.values()].some((live) => live.value === value && live.id !== id)) return
    this.#former.set(value, id)
    if (this.#former.size > MOST_FORMER) this.#former.delete(this.#former.keys().next().value!)
    this.#tellValues()
  }

  #tellValues(): void {
    this.#options.onValues?.([...[...this.#live.values()].map(({ value }) => value), ...this.#former.keys()])
  }

  #tell(
    type: 'secret.created' | 'secret.read' | 'secret.updated' | 'secret.deleted' | 'secret.restored',
    row: SecretRow,
    message: string,
    agentId: string | null = null,
  ): void {
    const { id: secret_id, name, environment, version, masked } = row
    const data: SecretFacts = { secret_id, name, environment, version, masked }
    this.#options.state.record({ type, level: 'INFO', agent_id: agentId, message, data })
  }

  /** Of every column: what is not sealed with the value is bound by this. */
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
    return createHmac('sha256', keyOf(this.#root!, 'rows')).update(withLengths(columns)).digest('hex')
  }

  #now(): string {
    return isoTime(this.#options.clock.now())
  }
}

const SECRETS_HINT = 'list them with "iron-cage secrets list"'

const WRONG_KEY: VaultState = {
  state: 'locked',
  why: 'wrong_key',
  message: 'the master key is not the one that this vault was sealed with',
  hint: 'start with the right key; after "iron-cage secrets change-master-key" that is the new one',
}

const BROKEN: VaultState = {
  state: 'locked',
  why: 'broken',
  message: 'there are secrets, but what the master key opens is gone from the database',
  hint: 'put the database back from a backup',
}

const weakKey = (weakness: string): CageError =>
  new CageError('bad_request', `the new master key is too weak: ${weakness}`, {
    hint: 'make one with "iron-cage keygen"',
  })

const brokenRow = ({ id, name, environment }: SecretRow): CageError =>
  new CageError(
    'vault_broken',
    `the row of the secret ${name} of ${environment} (${id}) is not as it was written last`,
    {
      facts: { secret_id: id },
    },
  )

const viewOf = (row: SecretRow): SecretView => {
  const { id, name, environment, masked, version, created_at, updated_at, rotated_at, deleted_at } = row
  return { id, name, environment, masked, version, created_at, updated_at, rotated_at, deleted_at }
}

const nameKey = (name: string, environment: string): string => `${environment}\0${name}`

type Bound = Pick<SecretRow, 'id' | 'name' | 'environment' | 'parameters'>

const aboutValue = ({ id, name, environment, parameters }: Bound, version: number): About => [
  'iron-cage secret 1',
  id,
  name,
  environment,
  version,
  parameters,
]

function previousOf(row: SecretRow): (Sealed & { version: number }) | undefined {
  const { previous_version: version, previous_nonce: nonce, previous_ciphertext: ciphertext } = row
  return version === null || nonce === null || ciphertext === null ? undefined : { version, nonce, ciphertext }
}

/** The row with a new value. `keepsOld`: the old one can be gone back to. */
function resealed(row: SecretRow, salt: Buffer, key: Buffer, value: string, now: string, keepsOld: boolean): SecretRow {
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

/** The same values under another key; undefined when one does not open. */
function resealedUnder(row: SecretRow, oldKey: Buffer, salt: Buffer, key: Buffer): SecretRow | undefined {
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

const ABOUT_ROOT: About = ['iron-cage vault 1', PARAMETERS]

/** The vault's own key, sealed, as text. */
async function wrap(keys: Keys, root: Buffer): Promise<string> {
  const salt = newSalt()
  const { nonce, ciphertext } = seal(await keys.keyFor(salt), root, ABOUT_ROOT)
  return JSON.stringify({ salt: salt.toString('hex'), nonce: nonce.toString('hex'), key: ciphertext.toString('hex') })
}

/** Undefined when the master key is another one. */
async function unwrap(keys: Keys, stored: string): Promise<Buffer | undefined> {
  const { salt = '', nonce = '', key = '' } = JSON.parse(stored) as Record<string, string>
  const sealed = { nonce: Buffer.from(nonce, 'hex'), ciphertext: Buffer.from(key, 'hex') }
  return unseal(await keys.keyFor(Buffer.from(salt, 'hex')), sealed, ABOUT_ROOT)
}

const keyOf = (root: Buffer, purpose: 'rows' | 'originals'): Buffer =>
  Buffer.from(hkdfSync('sha256', root, '', `iron-cage vault ${purpose}`, 32))

const aboutOriginal = (incidentId: string): About => ['iron-cage incident 1', incidentId]

function sealOriginal(root: Buffer, incidentId: string, value: Buffer): Buffer {
  const { nonce, ciphertext } = seal(keyOf(root, 'originals'), value, aboutOriginal(incidentId))
  return Buffer.concat([nonce, ciphertext])
}

function unsealOriginal(root: Buffer, incidentId: string, sealed: Uint8Array): Buffer | undefined {
  const bytes = Buffer.from(sealed)
  const parts = { nonce: bytes.subarray(0, 12), ciphertext: bytes.subarray(12) }
  return unseal(keyOf(root, 'originals'), parts, aboutOriginal(incidentId))
}

function readDetails(details: string): { secret_id?: string; row_hash?: string } {
  try {
    return JSON.parse(details) as { secret_id?: string; row_hash?: string }
  } catch {
    return {}
  }
}
