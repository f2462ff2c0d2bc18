/**
 * People of organizations, who sign in with a name and a password. A change of a role or password, and a removal, end all
 * sessions and tokens of the person in the same transaction, and so on every process of the panel.
 */
import { DUMMY_HASH, hashPassword, verifyPassword } from '../../access/passwords.ts'
import { SignInAttempts } from '../../access/sign-in-attempts.ts'
import { validUsername } from '../../access/users.ts'
import { CageError } from '../../core/errors.ts'
import { newUserId } from '../../core/ids.ts'
import { appendAudit } from '../db/audit-store.ts'
import type { PanelDatabase, Sql } from '../db/database.ts'
import { insert } from '../db/insert.ts'
import type { Member, PersonRole } from './credentials.ts'
import { sharedAttempts } from './shared-attempts.ts'
import { SignInFailures } from './sign-in-failures.ts'

export interface StoredPerson {
  id: string
  organization_id: string
  username: string
  role: PersonRole
  password_hash: string
  created_at: number
  password_changed_at: number
  /** With which the person is recognized at the first sign-in at an identity provider; null for a password only. */
  email: string | null
  /** Who that was there; null before. */
  issuer: string | null
  subject: string | null
}

interface NewPerson {
  username: string
  role: PersonRole
  /** (Default: none; the person signs in at an identity provider.) */
  password?: string | undefined
  email?: string | null | undefined
}

type Admin = Pick<Member, 'organizationId' | 'name'>

export class People {
  readonly #database: PanelDatabase
  readonly #attempts: SignInAttempts
  readonly failures: SignInFailures

  constructor(database: PanelDatabase) {
    this.#database = database
    this.#attempts = new SignInAttempts(sharedAttempts(database))
    this.failures = new SignInFailures(database)
  }

  /** By name. */
  list(organizationId: string): Promise<StoredPerson[]> {
    return this.#database.within(organizationId, (sql) =>
      sql.rows<StoredPerson>('SELECT * FROM users WHERE organization_id = $1 ORDER BY username', [organizationId]),
    )
  }

  /** Throws CageError `bad_request` for an invalid name or password, `conflict` for a name that exists. */
  async add(
    { organizationId, name: actor }: Admin,
    { username, role, password, email }: NewPerson,
  ): Promise<StoredPerson> {
    const name = validUsername(username)
    const password_hash = password === undefined ? DUMMY_HASH : await hashPassword(password)
    const { dialect } = this.#database
    return this.#database.within(organizationId, async (sql) => {
      const now = await this.#now(sql)
      const person: StoredPerson = {
        ...{ id: newUserId(), organization_id: organizationId, username: name, role, password_hash },
        ...{ created_at: now, password_changed_at: now, email: email?.toLowerCase() ?? null },
        ...{ issuer: null, subject: null },
      }
      await this.#requireFreeEmail(sql, person)
      await insert(sql, 'users', [person], () => ' ON CONFLICT (organization_id, username) DO NOTHING')
      if ((await this.#find(sql, organizationId, name))?.id !== person.id) {
        throw new CageError('conflict', `there is a user "${name}" already`, {
          hint: 'choose another name, or change the password with "iron-cage users passwd"',
        })
      }
      const entry = {
        organizationId,
        actor,
        action: 'user.created',
        target: person.id,
        details: { username: name, role, email: person.email },
      }
      await appendAudit(sql, dialect, [entry])
      return person
    })
  }

  /**
   * By id or name. Ends the person's sessions and tokens. Throws CageError `not_found`, `bad_request` for a password,
   * or `conflict` for somebody who could not sign in any more.
   */
  async change(
    { organizationId, name: actor }: Admin,
    idOrName: string,
    { role, password, email }: Partial<Omit<NewPerson, 'username'>>,
  ): Promise<StoredPerson> {
    const password_hash = password === undefined ? undefined : await hashPassword(password)
    return this.#database.within(organizationId, async (sql) => {
      const before = await this.#lock(sql, organizationId, idOrName)
      const changed: StoredPerson = {
        ...before,
        role: role ?? before.role,
        // Another address is another person at the identity provider.
        ...(email !== undefined && { email: email?.toLowerCase() ?? null, issuer: null, subject: null }),
        ...(password_hash !== undefined && { password_hash, password_changed_at: await this.#now(sql) }),
      }
      const { id, username } = changed
      assertCanSignIn(changed)
      await this.#requireFreeEmail(sql, changed)
      await sql.rows(
        'UPDATE users SET role = $2, password_hash = $3, password_changed_at = $4, email = $5, issuer = $6, subject = $7 WHERE id = $1',
        [
          ...[id, changed.role, changed.password_hash, changed.password_changed_at],
          ...[changed.email, changed.issuer, changed.subject],
        ],
      )
      await this.#endCredentials(sql, id)
      const details = {
        username,
        role_before: before.role,
        role: changed.role,
        password_changed: password === undefined ? 'no' : 'yes',
        email: changed.email,
      }
      const entry = { organizationId, actor, action: 'user.changed', target: id, details }
      await appendAudit(sql, this.#database.dialect, [entry])
      return changed
    })
  }

  /** By id or name. Throws CageError `not_found`. */
  async remove({ organizationId, name: actor }: Admin, idOrName: string): Promise<void> {
    await this.#database.within(organizationId, async (sql) => {
      const { id, username } = await this.#lock(sql, organizationId, idOrName)
      await this.#endCredentials(sql, id)
      await sql.rows('DELETE FROM users WHERE id = $1', [id])
      const entry = { organizationId, actor, action: 'user.removed', target: id, details: { username } }
      await appendAudit(sql, this.#database.dialect, [entry])
    })
  }

  /**
   * Returns the person with this name and password; a name of another organization than `home` is written
   * "organization/name". An unknown one takes as long and fails the same way. Throws CageError `unauthorized` or
   * `too_many_attempts`.
   */
  signIn(attempt: { username: string; password: string; address: string }, home: string): Promise<StoredPerson> {
    const [organization, username] = attempt.username.includes('/')
      ? (attempt.username.split('/', 2) as [string, string])
      : [home, attempt.username]
    const name = username.toLowerCase()
    return this.#attempts.run({ name: `${organization}/${name}`, address: attempt.address }, async () => {
      const [person] = await this.#database.system.rows<StoredPerson>(
        `SELECT users.* FROM users JOIN organizations ON organizations.id = users.organization_id
         WHERE organizations.name = $1 AND users.username = $2`,
        [organization, name],
      )
      if (await verifyPassword(person?.password_hash, attempt.password)) return person
      await this.failures.count(organization)
      return undefined
    })
  }

  /**
   * For the transaction that opens a session of a person: throws CageError `unauthorized` if the person was removed or
   * changed since it was recognized.
   */
  async requireUnchanged(sql: Sql, person: StoredPerson): Promise<void> {
    const row = await this.#find(sql, person.organization_id, person.id)
    const kept = ['role', 'password_hash', 'issuer', 'subject'] as const
    if (row && kept.every((name) => row[name] === person[name])) return
    throw new CageError('unauthorized', 'this user was changed meanwhile', { hint: 'sign in again' })
  }

  /** For the transaction in which a caller creates a credential: throws CageError `unauthorized` if its own has ended. */
  async requireAlive(sql: Sql, { organizationId, id, userId }: Member): Promise<void> {
    // Locked first, as by a change of the person: it also ends credentials created here.
    const owner = userId ? await this.#find(sql, organizationId, userId) : null
    const [own] = await sql.rows(
      'SELECT id FROM credentials WHERE organization_id = $1 AND id = $2 AND ended_at IS NULL',
      [organizationId, id],
    )
    if (owner === undefined || !own)
      throw new CageError('unauthorized', 'the session has ended', { hint: 'sign in again' })
  }

  /** Throws CageError `conflict`. */
  async #requireFreeEmail(sql: Sql, { organization_id, id, email }: StoredPerson): Promise<void> {
    if (email === null) return
    const taken = await sql.rows('SELECT id FROM users WHERE organization_id = $1 AND email = $2 AND id <> $3', [
      ...[organization_id, email],
      id,
    ])
    if (taken.length > 0) throw new CageError('conflict', `there is a user with the address ${email} already`)
  }

  async #lock(sql: Sql, organizationId: string, idOrName: string): Promise<StoredPerson> {
    const person = await this.#find(sql, organizationId, idOrName)
    if (person) return person
    throw new CageError('not_found', `there is no user "${idOrName}"`, {
      hint: 'list them with "iron-cage users list"',
    })
  }

  async #find(sql: Sql, organizationId: string, idOrName: string): Promise<StoredPerson | undefined> {
    const [person] = await sql.rows<StoredPerson>(
      `SELECT * FROM users WHERE organization_id = $1 AND (id = $2 OR username = $3) ${this.#database.dialect.forUpdate}`,
      [organizationId, idOrName, idOrName.toLowerCase()],
    )
    return person
  }

  async #endCredentials(sql: Sql, userId: string): Promise<void> {
    await sql.rows(
      `UPDATE credentials SET ended_at = ${this.#database.dialect.now} WHERE user_id = $1 AND ended_at IS NULL`,
      [userId],
    )
  }

  async #now(sql: Sql): Promise<number> {
    const [row] = await sql.rows<{ now: number }>(`SELECT ${this.#database.dialect.now} AS now`)
    return row!.now
  }
}

/** Throws CageError `conflict` when the person could not sign in any more. */
function assertCanSignIn({ username, password_hash, email }: StoredPerson): void {
  if (password_hash !== DUMMY_HASH || email !== null) return
  throw new CageError('conflict', `${username} has no password, and could not sign in without an address`, {
    hint: `set a password first with "iron-cage users passwd ${username}", or end the account with "iron-cage users remove"`,
  })
}
