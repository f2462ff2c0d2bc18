/**
 * The credentials of an organization: tokens and sessions of people, codes of links, invitations of runtimes. Each request
 * is checked against the database, so that what ends on one process of the panel has ended on all.
 */
import { randomBytes } from 'node:crypto'
import { tokenHash } from '../../access/run-tokens.ts'
import type { SessionTokens } from '../../access/sessions.ts'
import { type Batch, lookup } from '../../core/batch.ts'
import { CageError } from '../../core/errors.ts'
import { newToken } from '../../core/tokens.ts'
import type { AuditEntry, SharedScope } from '../bank/bank.ts'
import { appendAudit } from '../db/audit-store.ts'
import type { PanelDatabase, Sql } from '../db/database.ts'

/** `invited`: may join as a runtime, and nothing else. */
export type PanelRole = 'admin' | 'viewer' | 'runtime' | 'invited'

/** The authenticated caller. */
export interface Member {
  role: PanelRole
  organizationId: string
  /** Of the credential, for the audit; the id of a runtime. */
  name: string
  id: string
  /** The person whose session or token it is. (Default: nobody's, such as the terminal's.) */
  userId?: string | null
  /** A runtime that was removed. (Default: false.) */
  isRevoked?: boolean
}

export type PersonRole = 'admin' | 'viewer'

/** Whose budgets pay for a runtime as well; null for none. */
export interface Team {
  team: string | null
  user: string | null
  /** (Default: null.) */
  token?: string | null
}

/** A token, session or invitation that still works. */
export interface StoredCredential {
  id: string
  kind: 'token' | 'session' | 'invitation'
  role: 'admin' | 'viewer' | 'runtime'
  name: string
  created_at: number
  expires_at: number | null
  created_by: string | null
}

/** How long the link to the dashboard works, in ms. */
const CODE_MS = 3_600_000
/** How long a session lasts without being renewed, in ms. */
const SESSION_MS = 12 * 3_600_000
/** Lifetime of an invitation without another, in ms. */
const INVITATION_MS = 7 * 24 * 3_600_000

export const newId = (kind: string): string => `${kind}-${randomBytes(6).toString('hex')}`

interface StoredMember {
  hash: string
  id: string
  organization_id: string
  kind: string
  role: PanelRole
  name: string
  user_id: string | null
  revoked_at: number | null
}

function memberOf({ id, organization_id: organizationId, kind, role, name, ...row }: StoredMember): Member {
  if (kind === 'runtime') return { role: 'runtime', organizationId, name, id, isRevoked: row.revoked_at !== null }
  return { id, organizationId, name, userId: row.user_id, role: kind === 'invitation' ? 'invited' : role }
}

export class Credentials {
  readonly #database: PanelDatabase
  readonly #members: Batch<string, Member | undefined>

  constructor(database: PanelDatabase) {
    this.#database = database
    this.#members = lookup((hashes) => this.#membersOf(hashes))
  }

  /** Identifies a caller by a token; undefined for one that does not work. */
  identify(token: string): Promise<Member | undefined> {
    return this.#members.add(tokenHash(token))
  }

  async #membersOf(hashes: readonly string[]): Promise<Map<string, Member>> {
    const { now, isIn } = this.#database.dialect
    const rows = await this.#database.system.rows<StoredMember>(
      `SELECT hash, id, organization_id, kind, role, name, user_id, NULL AS revoked_at FROM credentials
       WHERE ${isIn('hash', '$1')} AND kind <> 'code' AND ended_at IS NULL AND (expires_at IS NULL OR expires_at > ${now})
       UNION ALL SELECT token_hash, id, organization_id, 'runtime', 'runtime', name, NULL, revoked_at FROM runtimes
       WHERE ${isIn('token_hash', '$1')}`,
      [JSON.stringify(hashes)],
    )
    return new Map(rows.map((row) => [row.hash, memberOf(row)]))
  }

  /** True when an admin can act without a link: with a token, or with a password. */
  async hasAdmin(organizationId: string): Promise<boolean> {
    const rows = await this.#database.within(organizationId, (sql) =>
      sql.rows(
        `SELECT id FROM credentials WHERE organization_id = $1 AND kind = 'token' AND role = 'admin' AND ended_at IS NULL
         UNION ALL SELECT id FROM users WHERE organization_id = $1 AND role = 'admin'`,
        [organizationId],
      ),
    )
    return rows.length > 0
  }

  /** Creates a token of a person. Only this result holds its value. */
  async createToken(organizationId: string, role: PersonRole, name: string, by: string): Promise<string> {
    const { value } = await this.issueToken({ organizationId, role, name, by, userId: null, lifeMs: null })
    return value
  }

  /**
   * Creates a token, which ends with the person `userId`, or after `lifeMs`; null for never. `prepare` runs in the same
   * transaction, and prevents the token by throwing, here and below. (Default: nothing.)
   */
  issueToken(
    token: Pick<NewCredential, 'organizationId' | 'name' | 'by' | 'userId' | 'lifeMs'> & { role: PersonRole },
    prepare?: Prepare,
  ): Promise<IssuedCredential> {
    return this.#createCredential({ ...token, kind: 'token', path: null }, prepare)
  }

  /** Creates the code of a link to the dashboard, which works once, within an hour. */
  async newCode(organizationId: string, by: string): Promise<string> {
    const code = {
      organizationId,
      kind: 'code',
      role: 'admin',
      name: 'operator',
      by,
      path: null,
      lifeMs: CODE_MS,
    } as const
    return (await this.#createCredential(code)).value
  }

  /** Exchanges a code for a session. Throws CageError `unauthorized`. */
  async exchange(code: string): Promise<SessionTokens> {
    const { now } = this.#database.dialect
    const [row] = await this.#database.system.rows<{ organization_id: string; role: PersonRole; name: string }>(
      `UPDATE credentials SET ended_at = ${now}
       WHERE hash = $1 AND kind = 'code' AND ended_at IS NULL AND expires_at > ${now} RETURNING organization_id, role, name`,
      [tokenHash(code)],
    )
    if (!row) {
      throw new CageError('unauthorized', 'this link has expired or was already used', {
        hint: 'sign in with your password, or with the link that a start of the panel prints',
      })
    }
    return this.openSession({ ...row, organizationId: row.organization_id })
  }

  /** Opens a session of a person, or of the terminal. */
  async openSession(
    {
      organizationId,
      role,
      name,
      userId = null,
    }: Pick<Member, 'organizationId' | 'name' | 'userId'> & { role: PersonRole },
    prepare?: Prepare,
  ): Promise<SessionTokens> {
    const session = {
      organizationId,
      kind: 'session',
      role,
      name,
      by: name,
      userId,
      path: null,
      lifeMs: SESSION_MS,
    } as const
    return sessionTokens((await this.#createCredential(session, prepare)).value, { role, name })
  }

  /** Exchanges the token of a session for a new one; each works once. Throws CageError `unauthorized`. */
  async refresh(token: string): Promise<SessionTokens> {
    const { now } = this.#database.dialect
    const value = newToken('ic')
    const [row] = await this.#database.system.rows<{ role: PersonRole; name: string }>(
      `UPDATE credentials SET hash = $2, expires_at = ${now} + ${SESSION_MS}
       WHERE hash = $1 AND kind = 'session' AND ended_at IS NULL AND expires_at > ${now} RETURNING role, name`,
      [tokenHash(token), tokenHash(value)],
    )
    if (!row) throw new CageError('unauthorized', 'the session has ended', { hint: 'sign in again' })
    return sessionTokens(value, row)
  }

  /** Creates a token with which one runtime joins. Throws CageError `not_found` for a name without a budget. */
  async invite(organizationId: string, team: Team, name: string, by: string): Promise<string> {
    return (await this.issueInvitation(organizationId, team, name, by)).value
  }

  /** The same, with its id. */
  async issueInvitation(
    organizationId: string,
    { team, user, token = null }: Team,
    name: string,
    by: string,
  ): Promise<IssuedCredential> {
    const path = [
      ...(await this.#budgetIds(organizationId, 'organization', null)),
      ...(team === null ? [] : await this.#budgetIds(organizationId, 'team', team)),
      ...(user === null ? [] : await this.#budgetIds(organizationId, 'user', user)),
      ...(token === null ? [] : await this.#budgetIds(organizationId, 'token', token)),
    ]
    const invitation = { organizationId, kind: 'invitation', role: 'runtime', name, by, lifeMs: INVITATION_MS } as const
    return this.#createCredential({ ...invitation, path: JSON.stringify(path) })
  }

  /** Uses an invitation. `wanted`: another one has its name with a number. Throws CageError `unauthorized` for one that was used. */
  async join(
    { id, organizationId }: Member,
    wanted: string,
    version: string,
  ): Promise<{ runtimeId: string; token: string; name: string }> {
    const runtimeId = newId('runtime')
    const token = newToken('ic')
    const { now, forUpdate } = this.#database.dialect
    const name = await this.#database.within(organizationId, async (sql) => {
      const [used] = await sql.rows<{ path: string }>(
        `UPDATE credentials SET ended_at = ${now} WHERE id = $1 AND ended_at IS NULL RETURNING path`,
        [id],
      )
      if (!used) throw new CageError('unauthorized', 'this invitation was already used')
      // Machines that join at the same instant take turns here: the one that waits sees the name of the other.
      await sql.rows(`SELECT id FROM organizations WHERE id = $1 ${forUpdate}`, [organizationId])
      const others = await sql.rows<{ name: string }>(
        'SELECT name FROM runtimes WHERE organization_id = $1 AND revoked_at IS NULL',
        [organizationId],
      )
      const name = freeName(wanted, new Set(others.map((row) => row.name)))
      await sql.rows(
        `INSERT INTO runtimes (id, organization_id, name, path, token_hash, version, joined_at) VALUES ($1, $2, $3, $4, $5, $6, ${now})`,
        [runtimeId, organizationId, name, used.path, tokenHash(token), version],
      )
      await this.#record(sql, {
        organizationId,
        actor: name,
        action: 'runtime.joined',
        target: runtimeId,
        details: { version },
      })
      return name
    })
    return { runtimeId, token, name }
  }

  /** Those that still work, newest first. */
  list(organizationId: string): Promise<StoredCredential[]> {
    const { now } = this.#database.dialect
    return this.#database.within(organizationId, (sql) =>
      sql.rows<StoredCredential>(
        `SELECT id, kind, role, name, created_at, expires_at, created_by FROM credentials
         WHERE organization_id = $1 AND kind <> 'code' AND ended_at IS NULL AND (expires_at IS NULL OR expires_at > ${now})
         ORDER BY created_at DESC, id`,
        [organizationId],
      ),
    )
  }

  /** Ends a token, session or invitation, at once and everywhere. Throws CageError `not_found`. */
  async revoke(organizationId: string, id: string, by: string): Promise<void> {
    await this.#database.within(organizationId, async (sql) => {
      const [ended] = await sql.rows<{ kind: string; name: string }>(
        `UPDATE credentials SET ended_at = ${this.#database.dialect.now}
         WHERE organization_id = $1 AND id = $2 AND ended_at IS NULL RETURNING kind, name`,
        [organizationId, id],
      )
      if (!ended) {
        throw new CageError('not_found', `there is no token, session or invitation "${id}"`, {
          hint: '"iron-cage tokens list" shows tokens and invitations; GET /api/fleet/credentials lists sessions too',
        })
      }
      const { kind, name } = ended
      await this.#record(sql, {
        organizationId,
        actor: by,
        action: `${kind}.revoked`,
        target: id,
        details: { name },
      })
    })
  }

  async #createCredential(credential: NewCredential, prepare?: Prepare): Promise<IssuedCredential> {
    const { organizationId, kind, role, name, by, path, lifeMs, userId = null } = credential
    const value = newToken(kind === 'code' ? 'code' : 'ic')
    const id = newId(kind)
    const { now } = this.#database.dialect
    await this.#database.within(organizationId, async (sql) => {
      await prepare?.(sql)
      await sql.rows(
        `INSERT INTO credentials (hash, id, organization_id, kind, role, name, path, user_id, created_by, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, ${now}, ${lifeMs === null ? 'NULL' : `${now} + ${lifeMs}`})`,
        [tokenHash(value), id, organizationId, kind, role, name, path, userId, by],
      )
      await this.#record(sql, {
        organizationId,
        actor: by,
        action: `${kind}.created`,
        target: id,
        details: { name, role },
      })
    })
    return { id, value }
  }

  #record(sql: Sql, entry: AuditEntry): Promise<void> {
    return appendAudit(sql, this.#database.dialect, [entry])
  }

  /** `name`: null for the organization's own. */
  async #budgetIds(organizationId: string, scope: SharedScope, name: string | null): Promise<string[]> {
    const rows = await this.#database.within(organizationId, (sql) =>
      sql.rows<{ id: string; name: string }>('SELECT id, name FROM budgets WHERE organization_id = $1 AND scope = $2', [
        organizationId,
        scope,
      ]),
    )
    const found = rows.find((row) => name === null || row.name === name)
    if (found) return [found.id]
    throw noBudget(scope, name)
  }
}

/** "vm", or "vm-2" where a "vm" is, as for the folders of one host. */
function freeName(wanted: string, taken: ReadonlySet<string>): string {
  let name = wanted
  for (let number = 2; taken.has(name); number++) name = `${wanted}-${number}`
  return name
}

/** `name`: null for the organization's. */
export const noBudget = (scope: SharedScope, name: string | null): CageError =>
  new CageError('not_found', `the ${scope} "${name}" has no budget`, {
    hint: `an admin creates it with "iron-cage budget set --${scope === 'organization' ? 'org' : `${scope} ${name}`} <usd>"`,
  })

type Prepare = (sql: Sql) => Promise<void>

/** `value`: only here. */
export interface IssuedCredential {
  id: string
  value: string
}

interface NewCredential {
  organizationId: string
  kind: 'token' | 'code' | 'session' | 'invitation'
  role: 'admin' | 'viewer' | 'runtime'
  name: string
  /** Who creates it. */
  by: string
  /** Of an invitation: the budgets that will pay, as JSON. */
  path: string | null
  lifeMs: number | null
  userId?: string | null
}

/** A session has one token: it is looked up at each use anyway. */
const sessionTokens = (token: string, { role, name }: { role: PersonRole; name: string }): SessionTokens => ({
  access_token: token,
  refresh_token: token,
  expires_in: SESSION_MS / 1000,
  role,
  name,
})
