/**
 * People who sign in with a name and a password. Changing a role or password, or removing a user, ends all sessions of that
 * user immediately (`onChange`).
 */
import { type Clock, isoTime } from '../core/clock.ts'
import { CageError } from '../core/errors.ts'
import { newUserId } from '../core/ids.ts'
import type { Store } from '../db/store.ts'
import type { UserRow, UserTable } from '../db/tables/users.ts'
import { localAttempts } from './backoff.ts'
import { hashPassword, verifyPassword } from './passwords.ts'
import { SignInAttempts } from './sign-in-attempts.ts'

/** The fields of a user that may be shown. */
export type User = Omit<UserRow, 'password_hash'>
export type UserRole = User['role']

/** Reserved: the audit uses these names for other actors. */
const TAKEN_NAMES: readonly string[] = ['operator', 'iron-cage', 'unknown', 'nobody', 'system']
const NAME = /^[a-z0-9][a-z0-9._-]{0,39}$/

/** The name in small letters. Throws CageError `bad_request` for one that no user can have. */
export function validUsername(username: string): string {
  const name = username.toLowerCase()
  if (NAME.test(name) && !TAKEN_NAMES.includes(name) && !name.startsWith('user-')) return name
  throw new CageError('bad_request', `a user cannot be called ${JSON.stringify(username)}`, {
    hint: 'use up to 40 letters, digits, ".", "_" and "-", such as "alice"',
  })
}

export class Users {
  readonly #clock: Clock
  readonly #table: UserTable
  /** By id. Only this process writes the file, so memory and rows agree. */
  readonly #rows: Map<string, UserRow>
  readonly #listeners = new Set<(userId: string) => void>()
  readonly #attempts: SignInAttempts

  constructor({ store, clock }: { store: Pick<Store, 'users'>; clock: Clock }) {
    this.#clock = clock
    this.#table = store.users
    this.#rows = new Map(this.#table.all().map((row) => [row.id, row]))
    this.#attempts = new SignInAttempts(localAttempts(clock))
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

  /** Throws CageError `bad_request` for an invalid name or password, `conflict` for a name that exists. */
  async add({ username, role, password }: { username: string; role: UserRole; password: string }): Promise<User> {
    const name = validUsername(username)
    this.#requireFree(name)
    const password_hash = await hashPassword(password)
    // Checked again: hashing takes time.
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

  /** Throws CageError `not_found`, or `bad_request` for an invalid password. */
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
   * Returns the user with this name and password. An unknown name takes as long and fails the same way. Throws CageError
   * `unauthorized`, or `too_many_attempts` after failures of this name from this address, or of any name from an address
   * where this one never signed in.
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
    const row = this.#named(name)
    return this.#attempts.run({ name, address }, async () => {
      const isRight = await verifyPassword(row?.password_hash, password)
      // It may have been removed or changed in the meantime.
      return row && isRight && this.#rows.get(row.id) === row ? shown(row) : undefined
    })
  }

  /** Calls `listener` with the id of each user that was changed or removed. */
  onChange(listener: (userId: string) => void): void {
    this.#listeners.add(listener)
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

  /** Memory and sessions first: if the disk refuses, the change still holds until the next start. */
  #change(row: UserRow, change: Partial<UserRow>): void {
    this.#rows.set(row.id, { ...row, ...change })
    this.#notify(row.id)
    this.#table.change(row.id, change)
  }

  #notify(userId: string): void {
    for (const listener of this.#listeners) listener(userId)
  }
}

const shown = ({ password_hash: _hash, ...row }: UserRow): User => row
