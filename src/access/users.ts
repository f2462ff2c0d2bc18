/**
 * People who sign in with a name and a password. A change of role or password and a removal end every session of that
 * person at once (`onChange`): what was allowed before is not allowed a second longer.
 */
import { isIPv6 } from 'node:net'
import { type Clock, isoTime } from '../clock.ts'
import type { Store } from '../db/store.ts'
import type { UserRow, UserTable } from '../db/users.ts'
import { CageError } from '../errors.ts'
import { newUserId } from '../ids.ts'
import { Backoff } from './backoff.ts'
import { isLoopback } from './localhost.ts'
import { hashPassword, verifyPassword } from './passwords.ts'

/** What may be shown of a user. */
export type User = Omit<UserRow, 'password_hash'>
export type UserRole = User['role']

/** Names that the audit uses for somebody else. */
const TAKEN_NAMES: readonly string[] = ['operator', 'iron-cage', 'unknown', 'nobody', 'system']
const MAX_PROVEN = 10_000
const NAME = /^[a-z0-9][a-z0-9._-]{0,39}$/

export class Users {
  readonly #clock: Clock
  readonly #table: UserTable
  /** By id. The file is this process's alone, so memory and rows are the same. */
  readonly #rows: Map<string, UserRow>
  readonly #listeners = new Set<(userId: string) => void>()
  /** Keys are a name and where it is typed, so that nobody keeps anybody out who signs in from elsewhere. */
  readonly #byName: Backoff
  readonly #byAddress: Backoff
  /** Names that were right, where: others' failures there do not concern them. */
  readonly #provenAt = new Set<string>()

  constructor({ store, clock }: { store: Pick<Store, 'users'>; clock: Clock }) {
    this.#clock = clock
    this.#table = store.users
    this.#rows = new Map(this.#table.all().map((row) => [row.id, row]))
    this.#byName = new Backoff(clock, 5)
    // Several people may share an address; on localhost all do.
    this.#byAddress = new Backoff(clock, 20)
  }

  get count(): number {
    return this.#rows.size
  }

  /** By name. */
  list(): User[] {
    return [...this.#rows.values()].map(shown).sort((one, other) => (one.username < other.username ? -1 : 1))
  }

  find(id: string): User | undefined {
    const row = this.#rows.get(id)
    return row && shown(row)
  }

  /** By id or name. Throws CageError `not_found`. */
  get(idOrName: string): User {
    return shown(this.#row(idOrName))
  }

  /** Throws CageError `bad_request` for a name or password that cannot be, `conflict` for a name that is there already. */
  async add({ username, role, password }: { username: string; role: UserRole; password: string }): Promise<User> {
    const name = username.toLowerCase()
    if (!NAME.test(name) || TAKEN_NAMES.includes(name) || name.startsWith('user-')) {
      throw new CageError('bad_request', `a user cannot be called ${JSON.stringify(username)}`, {
        hint: 'use up to 40 letters, digits, ".", "_" and "-", such as "alice"',
      })
    }
    this.#requireFree(name)
    const password_hash = await hashPassword(password)
    // Hashing took its time.
    this.#requireFree(name)
    const now = isoTime(this.#clock.now())
    const row: UserRow = {
      id: newUserId(),
      username: name,
      role,
      password_hash,
      created_at: now,
      password_changed_at: now,
    }
    this.#table.insert(row)
    this.#rows.set(row.id, row)
    return shown(row)
  }

  /** Throws CageError `not_found`, or `bad_request` for a password that cannot be. */
  async changePassword(idOrName: string, password: string): Promise<void> {
    const { id } = this.#row(idOrName)
    const password_hash = await hashPassword(password)
    this.#change(this.#row(id), { password_hash, password_changed_at: isoTime(this.#clock.now()) })
  }

  /** Throws CageError `not_found`. */
  changeRole(idOrName: string, role: UserRole): void {
    const row = this.#row(idOrName)
    if (row.role !== role) this.#change(row, { role })
  }

  /** Throws CageError `not_found`. */
  remove(idOrName: string): void {
    const { id } = this.#row(idOrName)
    this.#rows.delete(id)
    this.#notify(id)
    this.#table.remove(id)
  }

  /**
   * Whose name and password these are. A name that nobody has takes as long and fails alike. Throws CageError
   * `unauthorized`, or `too_many_attempts` after failures of this name from this address, or from an address where this
   * name was never right.
   */
  async signIn({
    username,
    password,
    address,
  }: {
    username: string
    password: string
    address: string
  }): Promise<User> {
    const name = username.toLowerCase()
    const source = sourceOf(address)
    const key = `${name} ${source}`
    const isProven = this.#provenAt.has(key)
    const takeBack = () => isProven || this.#byAddress.takeBack(source)
    if (!isProven) this.#byAddress.begin(source)
    try {
      this.#byName.begin(key)
    } catch (error) {
      takeBack()
      throw error
    }
    const row = this.#named(name)
    const isRight = await verifyPassword(row?.password_hash, password).catch((error: unknown) => {
      // It was not looked at.
      this.#byName.takeBack(key)
      takeBack()
      throw error
    })
    // Removed or changed meanwhile: that holds.
    if (!row || !isRight || this.#rows.get(row.id) !== row) {
      throw new CageError('unauthorized', 'no user has this name and password', { hint: 'check both and try again' })
    }
    this.#byName.forget(key)
    takeBack()
    this.#prove(key)
    return shown(row)
  }

  /** Told when a user is not what he or she was. */
  onChange(listener: (userId: string) => void): void {
    this.#listeners.add(listener)
  }

  /** The latest are kept. */
  #prove(key: string): void {
    this.#provenAt.delete(key)
    this.#provenAt.add(key)
    if (this.#provenAt.size > MAX_PROVEN) this.#provenAt.delete(this.#provenAt.values().next().value!)
  }

  #row(idOrName: string): UserRow {
    const row = this.#rows.get(idOrName) ?? this.#named(idOrName.toLowerCase())
    if (row) return row
    throw new CageError('not_found', `there is no user "${idOrName}"`, {
      hint: 'list them with "iron-cage users list"',
    })
  }

  #named(name: string): UserRow | undefined {
    return [...this.#rows.values()].find(({ username }) => username === name)
  }

  #requireFree(name: string): void {
    if (!this.#named(name)) return
    throw new CageError('conflict', `there is a user "${name}" already`, {
      hint: 'choose another name, or change the password with "iron-cage users passwd"',
    })
  }

  /** In memory and for the sessions first: what the disk refuses still holds until the next start. */
  #change(row: UserRow, change: Partial<UserRow>): void {
    this.#rows.set(row.id, { ...row, ...change })
    this.#notify(row.id)
    this.#table.change(row.id, change)
  }

  #notify(userId: string): void {
    for (const listener of this.#listeners) listener(userId)
  }
}

/** Whoever has one address of this machine, or of a network of IPv6 (64 bits), has all of them. */
function sourceOf(address: string): string {
  const plain = address.replace(/^::ffff:/, '')
  if (isLoopback(plain)) return 'localhost'
  if (!isIPv6(plain)) return plain
  const [head = '', tail] = plain.split('::')
  const groups = head.split(':').filter(Boolean)
  const after = tail?.split(':').filter(Boolean) ?? []
  return [...groups, ...Array(8 - groups.length - after.length).fill('0'), ...after].slice(0, 4).join(':')
}

const shown = ({ password_hash: _hash, ...row }: UserRow): User => row
