/**
 * Organizations with their budgets, runtimes and credentials. Every row belongs to an organization, and every statement
 * here names it: what one organization sees and changes is its own.
 */
import { randomBytes } from 'node:crypto'
import { tokenHash } from '../access/run-tokens.ts'
import { CageError } from '../errors.ts'
import { add, MAX_NANOS, type Nanodollars, showUsd, toUsd, ZERO_NANOS } from '../money.ts'
import { newToken } from '../tokens.ts'
import { type AuditEntry, type Decision, problemsOf, resolveLease, revokeRuntime, type SharedScope } from './bank.ts'
import {
  BankStore,
  budgetOf,
  insert,
  leaseOf,
  type StoredBudget,
  type StoredLease,
  type StoredRuntime,
} from './db/bank-store.ts'
import type { PanelDatabase, Sql } from './db/database.ts'

/** `invited`: may join as a runtime, and nothing else. */
export type PanelRole = 'admin' | 'viewer' | 'runtime' | 'invited'

/** The authenticated caller. */
export interface Member {
  role: PanelRole
  organizationId: string
  /** Of the credential, for the audit; the id of a runtime. */
  name: string
  id: string
}

export interface Team {
  /** Null for none. */
  team: string | null
  user: string | null
}

/** How long the link to the dashboard works, in ms. */
const CODE_MS = 24 * 3_600_000
/** How long a session on the dashboard lasts, in ms. */
const SESSION_MS = 12 * 3_600_000
/** Lifetime of an invitation without another, in ms. */
export const INVITATION_MS = 7 * 24 * 3_600_000

const newId = (kind: string): string => `${kind}-${randomBytes(6).toString('hex')}`

export class Fleet {
  readonly bank: BankStore
  readonly #database: PanelDatabase

  constructor(database: PanelDatabase) {
    this.#database = database
    this.bank = new BankStore(database)
  }

  /** Creates the organization with a budget of $0 unless it exists. Returns its id. */
  async openOrganization(name: string): Promise<string> {
    const { now } = this.#database.dialect
    return this.#database.transaction(async (sql) => {
      await sql.rows(
        `INSERT INTO organizations (id, name, created_at) VALUES ($1, $2, ${now}) ON CONFLICT (name) DO NOTHING`,
        [newId('org'), name],
      )
      const [row] = await sql.rows<{ id: string }>('SELECT id FROM organizations WHERE name = $1', [name])
      const budget = [newId('budget'), row!.id, 'organization', name]
      await sql.rows(
        `INSERT INTO budgets (id, organization_id, scope, name, limit_nanos) VALUES ($1, $2, $3, $4, 0)
         ON CONFLICT (organization_id, scope, name) DO NOTHING`,
        budget,
      )
      return row!.id
    })
  }

  /** Identifies a caller by a token; undefined for one that does not work. */
  async identify(token: string): Promise<Member | undefined> {
    const hash = tokenHash(token)
    const { now } = this.#database.dialect
    const [credential] = await this.#database.rows<{
      id: string
      organization_id: string
      kind: string
      role: PanelRole
      name: string
    }>(
      `SELECT id, organization_id, kind, role, name FROM credentials
       WHERE hash = $1 AND kind <> 'code' AND ended_at IS NULL AND (expires_at IS NULL OR expires_at > ${now})`,
      [hash],
    )
    if (credential) {
      const { id, organization_id: organizationId, kind, role, name } = credential
      return { id, organizationId, name, role: kind === 'invitation' ? 'invited' : role }
    }
    const [runtime] = await this.#database.rows<StoredRuntime>('SELECT * FROM runtimes WHERE token_hash = $1', [hash])
    return runtime && { role: 'runtime', organizationId: runtime.organization_id, name: runtime.name, id: runtime.id }
  }

  /** True when the organization has a token of an admin. */
  async hasAdmin(organizationId: string): Promise<boolean> {
    const rows = await this.#database.rows(
      `SELECT 1 AS found FROM credentials WHERE organization_id = $1 AND kind = 'token' AND role = 'admin' AND ended_at IS NULL`,
      [organizationId],
    )
    return rows.length > 0
  }

  /** Creates a token of a person. Only this result holds its value. */
  createToken(organizationId: string, role: 'admin' | 'viewer', name: string, by: string): Promise<string> {
    return this.#createCredential({ organizationId, kind: 'token', role, name, by, path: null, lifeMs: null })
  }

  /** Creates the code of a link to the dashboard, which works once. */
  newCode(organizationId: string, by: string): Promise<string> {
    return this.#createCredential({
      organizationId,
      kind: 'code',
      role: 'admin',
      name: 'operator',
      by,
      path: null,
      lifeMs: CODE_MS,
    })
  }

  /** Exchanges a code for a session. Throws CageError `unauthorized`. */
  async exchange(code: string): Promise<{ token: string; role: 'admin' | 'viewer'; expires_in: number }> {
    const { now } = this.#database.dialect
    const [row] = await this.#database.rows<{ organization_id: string; role: 'admin' | 'viewer'; name: string }>(
      `UPDATE credentials SET ended_at = ${now}
       WHERE hash = $1 AND kind = 'code' AND ended_at IS NULL AND expires_at > ${now} RETURNING organization_id, role, name`,
      [tokenHash(code)],
    )
    if (!row) {
      throw new CageError('unauthorized', 'this link has expired or was already used', {
        hint: 'sign in with a token from "iron-cage panel token"',
      })
    }
    const { organization_id: organizationId, role, name } = row
    const session = { organizationId, kind: 'session', role, name, by: name, path: null, lifeMs: SESSION_MS } as const
    return { token: await this.#createCredential(session), role, expires_in: SESSION_MS / 1000 }
  }

  /** Creates a token with which one runtime joins. Throws CageError `not_found` for a team or user without a budget. */
  async invite(organizationId: string, { team, user }: Team, name: string, by: string): Promise<string> {
    const path = [
      ...(await this.#budgetIds(organizationId, 'organization', null)),
      ...(team === null ? [] : await this.#budgetIds(organizationId, 'team', team)),
      ...(user === null ? [] : await this.#budgetIds(organizationId, 'user', user)),
    ]
    const invitation = { organizationId, kind: 'invitation', role: 'runtime', name, by, lifeMs: INVITATION_MS } as const
    return this.#createCredential({ ...invitation, path: JSON.stringify(path) })
  }

  /** Uses an invitation. Throws CageError `unauthorized` for one that was used. */
  async join(
    { id, organizationId }: Member,
    name: string,
    version: string,
  ): Promise<{ runtimeId: string; token: string }> {
    const runtimeId = newId('runtime')
    const token = newToken('ic')
    const { now } = this.#database.dialect
    await this.#database.transaction(async (sql) => {
      const [used] = await sql.rows<{ path: string }>(
        `UPDATE credentials SET ended_at = ${now} WHERE id = $1 AND ended_at IS NULL RETURNING path`,
        [id],
      )
      if (!used) throw new CageError('unauthorized', 'this invitation was already used')
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
    })
    return { runtimeId, token }
  }

  /** Sets or raises a limit; creates the budget of a team or user. Throws CageError `invalid_amount`. */
  async setLimit(
    organizationId: string,
    whose: { scope: SharedScope; name: string | null },
    change: LimitChange,
    by: string,
  ): Promise<void> {
    const { scope } = whose
    await this.#database.transaction(async (sql) => {
      const name = whose.name ?? (await this.#organizationName(sql, organizationId))
      const [before] = await sql.rows<StoredBudget>(
        `SELECT * FROM budgets WHERE organization_id = $1 AND scope = $2 AND name = $3 ${this.#database.dialect.forUpdate}`,
        [organizationId, scope, name],
      )
      const limit = 'limit' in change ? change.limit : add(before?.limit_nanos ?? ZERO_NANOS, change.add)
      if (limit > MAX_NANOS) {
        throw new CageError('invalid_amount', `a limit of ${showUsd(toUsd(limit))} is more than can be counted`)
      }
      await sql.rows(
        `INSERT INTO budgets (id, organization_id, scope, name, limit_nanos) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (organization_id, scope, name) DO UPDATE SET limit_nanos = excluded.limit_nanos`,
        [newId('budget'), organizationId, scope, name, limit],
      )
      const details = { from_usd: before ? toUsd(before.limit_nanos) : null, limit_usd: toUsd(limit) }
      await this.#record(sql, {
        organizationId,
        actor: by,
        action: 'budget.changed',
        target: `${scope} ${name}`,
        details,
      })
    })
  }

  /** Ends a runtime's right to spend, at once. Throws CageError `not_found`. */
  async revoke(organizationId: string, runtimeId: string, by: string): Promise<void> {
    await this.#requireRuntime(organizationId, runtimeId)
    await this.bank.run({ runtimeId, isByPerson: true }, (books) => {
      revokeRuntime(books, runtimeId)
      books.entries.push({ organizationId, actor: by, action: 'runtime.revoked', target: runtimeId, details: {} })
    })
  }

  /** A person says what was spent of a lease whose runtime is gone. Throws CageError `not_found` or `conflict`. */
  async resolve(organizationId: string, leaseId: string, spent: Nanodollars, decision: Decision): Promise<void> {
    const [lease] = await this.#database.rows<StoredLease>(
      'SELECT * FROM leases WHERE id = $1 AND organization_id = $2',
      [leaseId, organizationId],
    )
    if (!lease) {
      throw new CageError('not_found', `there is no lease "${leaseId}"`, {
        hint: 'list them with "iron-cage runtimes list"',
      })
    }
    const { by, reason } = decision
    await this.bank.run({ runtimeId: lease.runtime_id, leaseIds: [leaseId], isByPerson: true }, (books) => {
      resolveLease(books, leaseId, spent, decision)
      const details = { spent_usd: toUsd(spent), reason }
      books.entries.push({ organizationId, actor: by, action: 'lease.resolved', target: leaseId, details })
    })
  }

  /** Marks the leases whose runtimes are silent. No money moves. Returns their ids. */
  async expire(): Promise<string[]> {
    const rows = await this.#database.rows<{ id: string }>(
      `UPDATE leases SET state = 'expired' WHERE state = 'active' AND expires_at < ${this.#database.dialect.now} RETURNING id`,
    )
    return rows.map(({ id }) => id)
  }

  /** The rows of an organization: its budgets, its runtimes, and their leases that are not closed. */
  async read(organizationId: string) {
    const own = [organizationId]
    const [organization] = await this.#database.rows<{ name: string; now: number }>(
      `SELECT name, ${this.#database.dialect.now} AS now FROM organizations WHERE id = $1`,
      own,
    )
    const of = <Row>(table: string, rest: string) =>
      this.#database.rows<Row>(`SELECT * FROM ${table} WHERE organization_id = $1 ${rest}`, own)
    const [budgets, runtimes, leases] = await Promise.all([
      of<StoredBudget>('budgets', 'ORDER BY scope, name'),
      of<StoredRuntime>('runtimes', 'ORDER BY joined_at'),
      of<StoredLease>('leases', "AND state <> 'closed' ORDER BY id"),
    ])
    return { organization: organization!.name, now: organization!.now, budgets, runtimes, leases }
  }

  /** What people did, newest first. */
  audit(organizationId: string, limit: number): Promise<StoredAudit[]> {
    return this.#database.rows<StoredAudit>(
      'SELECT n, at, actor, action, target, details FROM audit WHERE organization_id = $1 ORDER BY n DESC LIMIT $2',
      [organizationId, limit],
    )
  }

  /** Compares the sums of all books with each other. Returns a sentence for each difference. */
  async problems(): Promise<string[]> {
    return this.#database.transaction(async (sql) => {
      if (this.#database.dialect.kind === 'postgres') await sql.rows('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ')
      const budgets = await sql.rows<StoredBudget>('SELECT * FROM budgets')
      const leases = await sql.rows<StoredLease>('SELECT * FROM leases')
      const sums = await sql.rows<{ lease_id: string; kind: string; amount: string | number }>(
        'SELECT lease_id, kind, CAST(sum(amount_nanos) AS TEXT) AS amount FROM transfers GROUP BY lease_id, kind',
      )
      const moved = new Map(
        sums.map(({ lease_id, kind, amount }) => [`${lease_id} ${kind}`, Number(amount) as Nanodollars]),
      )
      return problemsOf(
        budgets.map(budgetOf),
        leases.map(leaseOf),
        (id, kind) => moved.get(`${id} ${kind}`) ?? ZERO_NANOS,
      )
    })
  }

  /** Rejects unless the database answers. */
  async ping(): Promise<void> {
    await this.#database.rows('SELECT 1 AS one')
  }

  async #createCredential(credential: NewCredential): Promise<string> {
    const { organizationId, kind, role, name, by, path, lifeMs } = credential
    const token = newToken(kind === 'code' ? 'code' : 'ic')
    const id = newId(kind)
    const { now } = this.#database.dialect
    await this.#database.transaction(async (sql) => {
      await sql.rows(
        `INSERT INTO credentials (hash, id, organization_id, kind, role, name, path, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, ${now}, ${lifeMs === null ? 'NULL' : `${now} + ${lifeMs}`})`,
        [tokenHash(token), id, organizationId, kind, role, name, path],
      )
      await this.#record(sql, {
        organizationId,
        actor: by,
        action: `${kind}.created`,
        target: id,
        details: { name, role },
      })
    })
    return token
  }

  async #record(sql: Sql, { organizationId, actor, action, target, details }: AuditEntry): Promise<void> {
    const [row] = await sql.rows<{ now: number }>(`SELECT ${this.#database.dialect.now} AS now`)
    const entry = {
      at: row!.now,
      organization_id: organizationId,
      actor,
      action,
      target,
      details: JSON.stringify(details),
    }
    await insert(sql, 'audit', [entry])
  }

  /** `name`: null for the organization's own. */
  async #budgetIds(organizationId: string, scope: SharedScope, name: string | null): Promise<string[]> {
    const rows = await this.#database.rows<{ id: string; name: string }>(
      'SELECT id, name FROM budgets WHERE organization_id = $1 AND scope = $2',
      [organizationId, scope],
    )
    const found = rows.find((row) => name === null || row.name === name)
    if (found) return [found.id]
    throw new CageError('not_found', `the ${scope} "${name}" has no budget`, {
      hint: `create it with "iron-cage budget set --${scope === 'organization' ? 'org' : `${scope} ${name}`} <usd>"`,
    })
  }

  async #organizationName(sql: Sql, organizationId: string): Promise<string> {
    const [row] = await sql.rows<{ name: string }>('SELECT name FROM organizations WHERE id = $1', [organizationId])
    return row!.name
  }

  async #requireRuntime(organizationId: string, runtimeId: string): Promise<void> {
    const rows = await this.#database.rows('SELECT id FROM runtimes WHERE id = $1 AND organization_id = $2', [
      runtimeId,
      organizationId,
    ])
    if (rows.length > 0) return
    throw new CageError('not_found', `there is no runtime "${runtimeId}"`, {
      hint: 'list them with "iron-cage runtimes list"',
    })
  }
}

export type LimitChange = { limit: Nanodollars } | { add: Nanodollars }

export interface StoredAudit {
  n: number
  at: number
  actor: string
  action: string
  target: string
  details: string
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
}
