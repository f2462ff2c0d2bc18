/** Organizations with their budgets and runtimes. An organization sees and changes only its own data. */
import { CageError } from '../../core/errors.ts'
import { add, MAX_NANOS, type Nanodollars, showUsd, toUsd, ZERO_NANOS } from '../../core/money.ts'
import type { NamedBudget } from '../../protocol/lease-messages.ts'
import { Credentials, newId } from '../access/credentials.ts'
import { People } from '../access/people.ts'
import { Teams } from '../access/teams.ts'
import { AgentRequests } from '../control/agent-requests.ts'
import { Requests } from '../control/requests.ts'
import {
  type AuditBounds,
  type AuditVerdict,
  appendAudit,
  findAudit,
  type StoredAudit,
  verifyAudit,
} from '../db/audit-store.ts'
import type { PanelDatabase, Sql } from '../db/database.ts'
import { readSchema, requireUsable } from '../db/migrations.ts'
import { type Resolution, resolveLease, revokeRuntime, SHARED_SCOPES, type SharedScope } from './bank.ts'
import {
  BankStore,
  balanceOf,
  type StoredBudget,
  type StoredLease,
  type StoredPeriod,
  type StoredRuntime,
} from './bank-store.ts'
import { checkAll } from './books-check.ts'
import { reconcilingUntil } from './generation-store.ts'
import type { SharedPeriod } from './periods.ts'

export class Fleet {
  readonly bank: BankStore
  readonly credentials: Credentials
  readonly requests: Requests
  readonly agentRequests: AgentRequests
  readonly people: People
  readonly teams: Teams
  readonly #database: PanelDatabase

  /** `onGeneration`: as of BankStore. */
  constructor(database: PanelDatabase, onGeneration?: (until: number) => void) {
    this.#database = database
    this.bank = new BankStore(database, onGeneration)
    this.credentials = new Credentials(database)
    this.people = new People(database)
    const raise = async (sql: Sql, whose: BudgetOwner, more: Nanodollars) =>
      void (await this.#changeLimit(sql, whose, { add: more }))
    this.teams = new Teams(database)
    const requireLead = this.teams.requireLead.bind(this.teams)
    this.requests = new Requests({ database, raise, requireLead })
    this.agentRequests = new AgentRequests(database)
  }

  /** Creates the organization with a budget of $0 unless it exists. Returns its id. */
  async openOrganization(name: string): Promise<string> {
    const { now } = this.#database.dialect
    return this.#database.money(async (sql) => {
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

  /** Sets or raises a limit; creates the budget unless it exists. Throws CageError `invalid_amount`, or `conflict` for too many. */
  async setLimit(
    organizationId: string,
    whose: { scope: SharedScope; name: string | null },
    change: LimitChange,
    by: string,
  ): Promise<void> {
    await this.#database.within(organizationId, async (sql) => {
      const { scope, name } = whose
      const named = { organizationId, scope, name: name ?? (await this.#organizationName(sql, organizationId)) }
      const details = await this.#changeLimit(sql, named, change)
      const entry = { organizationId, actor: by, action: 'budget.changed', target: `${scope} ${named.name}`, details }
      await appendAudit(sql, this.#database.dialect, [entry])
    })
    await this.#database.announce(organizationId)
  }

  /** Sets how long runtimes may spend their leases while the panel is away. */
  async setCover(organizationId: string, coverS: number, by: string): Promise<void> {
    await this.#database.within(organizationId, async (sql) => {
      const [before] = await sql.rows<{ name: string; cover_s: number }>(
        `SELECT name, cover_s FROM organizations WHERE id = $1 ${this.#database.dialect.forUpdate}`,
        [organizationId],
      )
      await sql.rows('UPDATE organizations SET cover_s = $2 WHERE id = $1', [organizationId, coverS])
      const details = { from_s: before!.cover_s, cover_s: coverS }
      const entry = { organizationId, actor: by, action: 'cover.changed', target: before!.name, details }
      await appendAudit(sql, this.#database.dialect, [entry])
    })
  }

  /**
   * The agents and tokens whose calls on this runtime have budgets of their own, and the version of this list. The budget of
   * the token that it joined with pays for all its calls anyway.
   */
  namedBudgets(organizationId: string, runtimeId: string): Promise<{ version: number; budgets: NamedBudget[] }> {
    return this.#database.within(organizationId, async (sql) => {
      const own = [organizationId]
      // First: a list that is newer than its version is sent once more.
      const [organization] = await sql.rows<{ version: number }>(
        'SELECT budgets_version AS version FROM organizations WHERE id = $1',
        own,
      )
      const [runtime] = await sql.rows<{ path: string }>(
        'SELECT path FROM runtimes WHERE organization_id = $1 AND id = $2',
        [organizationId, runtimeId],
      )
      const budgets = await sql.rows<NamedBudget>(
        `SELECT scope, name FROM budgets WHERE organization_id = $1 AND scope IN ('agent', 'token')
         AND NOT ${this.#database.dialect.isIn('id', '$2')} ORDER BY scope, name`,
        [organizationId, runtime!.path],
      )
      return { version: organization!.version, budgets }
    })
  }

  /** Ends a runtime's right to spend, at once. Throws CageError `not_found`. */
  async revoke(organizationId: string, runtimeId: string, by: string): Promise<void> {
    await this.#requireRuntime(organizationId, runtimeId)
    await this.bank.run({ runtimeId, isByPerson: true }, (books) => {
      revokeRuntime(books, runtimeId)
      books.entries.push({ organizationId, actor: by, action: 'runtime.revoked', target: runtimeId, details: {} })
    })
    await this.#database.announce(organizationId)
  }

  /** A person enters the amount spent of a lease whose runtime is gone. Throws CageError `not_found` or `conflict`. */
  async resolve(organizationId: string, leaseId: string, spent: Nanodollars, decision: Resolution): Promise<void> {
    const [lease] = await this.#database.within(organizationId, (sql) =>
      sql.rows<StoredLease>('SELECT * FROM leases WHERE id = $1 AND organization_id = $2', [leaseId, organizationId]),
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

  /** When lending goes on at the latest, in ms since 1970, after the database has lost commits; null as a rule. */
  reconcilingUntil(): Promise<number | null> {
    return reconcilingUntil(this.#database.system, this.#database.dialect)
  }

  /** The ids of all. */
  async organizations(): Promise<string[]> {
    return (await this.#database.system.rows<{ id: string }>('SELECT id FROM organizations')).map(({ id }) => id)
  }

  /** Marks the leases whose runtimes are silent. No money moves. Returns their ids. */
  async expire(): Promise<string[]> {
    const rows = await this.#database.system.rows<{ id: string }>(
      `UPDATE leases SET state = 'expired' WHERE state = 'active' AND expires_at < ${this.#database.dialect.now} RETURNING id`,
    )
    return rows.map(({ id }) => id)
  }

  /** The rows of an organization: its budgets as of now, its runtimes, and their leases that are not closed. */
  read(organizationId: string) {
    return this.#database.within(organizationId, async (sql) => {
      const own = [organizationId]
      const [organization] = await sql.rows<{ name: string; cover_s: number; now: number }>(
        `SELECT name, cover_s, ${this.#database.dialect.now} AS now FROM organizations WHERE id = $1`,
        own,
      )
      const { name, cover_s: coverS, now } = organization!
      const of = <Row>(table: string, rest: string) =>
        sql.rows<Row>(`SELECT * FROM ${table} WHERE organization_id = $1 ${rest}`, own)
      const stored = await of<StoredBudget>('budgets', `ORDER BY ${FROM_WIDE_TO_NARROW}, name`)
      const periods = new Map(
        (await of<StoredPeriod>('budget_periods', `AND ends_at > ${now}`)).map((row) => [row.id, row]),
      )
      const budgets = stored.map((row) => ({ ...row, ...balanceOf(row, periods, now) }))
      const runtimes = await of<StoredRuntime>('runtimes', 'ORDER BY joined_at')
      const leases = await of<StoredLease>('leases', "AND state <> 'closed' ORDER BY id")
      return { organization: name, coverS, now, budgets, runtimes, leases }
    })
  }

  /** What people did, newest first; with `after`, oldest first. */
  audit(organizationId: string, limit: number, bounds: AuditBounds = {}): Promise<StoredAudit[]> {
    return this.#database.within(organizationId, (sql) => findAudit(sql, organizationId, limit, bounds))
  }

  verifyAudit(organizationId: string): Promise<AuditVerdict> {
    return this.#database.within(organizationId, (sql) => verifyAudit(sql, organizationId))
  }

  /** Compares the sums of all books with each other, and follows each audit. Returns a sentence for each difference. */
  async problems(): Promise<string[]> {
    return this.#database.money(async (sql) => {
      if (this.#database.dialect.kind === 'postgres') await sql.rows('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ')
      const books = await checkAll(sql, this.#database.dialect)
      const problems = books.map(({ label, text }) => `${label} ${text}`)
      const organizations = await sql.rows<{ id: string; name: string }>(
        'SELECT id, name FROM organizations ORDER BY name',
      )
      for (const { id, name } of organizations) {
        const verdict = await verifyAudit(sql, id)
        if (verdict.ok) continue
        const { row, problem } = verdict
        problems.push(`the audit of ${name}: ${row === null ? '' : `row ${row} `}${problem}`)
      }
      return problems
    })
  }

  /** Whether PostgreSQL keeps organizations apart as well; false for a role that is exempt from row-level security. */
  async enforcesRowSecurity(): Promise<boolean> {
    if (this.#database.dialect.kind === 'sqlite') return true
    const [role] = await this.#database.system.rows<{ is_exempt: boolean }>(
      'SELECT rolsuper OR rolbypassrls AS is_exempt FROM pg_roles WHERE rolname = current_user',
    )
    return !role!.is_exempt
  }

  /** Rejects unless the database answers and has tables that this version works with. */
  async ping(): Promise<void> {
    requireUsable(await readSchema(this.#database.system))
  }

  /** Returns the changes. Throws CageError `invalid_amount`. */
  async #changeLimit(sql: Sql, { organizationId, scope, name }: BudgetOwner, change: LimitChange) {
    const [before] = await sql.rows<StoredBudget>(
      `SELECT * FROM budgets WHERE organization_id = $1 AND scope = $2 AND name = $3 ${this.#database.dialect.forUpdate}`,
      [organizationId, scope, name],
    )
    const limit = 'limit' in change ? change.limit : add(before?.limit_nanos ?? ZERO_NANOS, change.add)
    if (limit > MAX_NANOS) {
      throw new CageError('invalid_amount', `a limit of ${showUsd(toUsd(limit))} is more than can be counted`)
    }
    const period = change.period === undefined ? (before?.period ?? null) : change.period
    if (!before && (scope === 'agent' || scope === 'token')) await this.#countNamed(sql, organizationId)
    await sql.rows(
      `INSERT INTO budgets (id, organization_id, scope, name, limit_nanos, period) VALUES ($1, $2, $3, $4, $5, $6)
       ON CONFLICT (organization_id, scope, name) DO UPDATE SET limit_nanos = excluded.limit_nanos, period = excluded.period`,
      [newId('budget'), organizationId, scope, name, limit, period],
    )
    return { from_usd: before ? toUsd(before.limit_nanos) : null, limit_usd: toUsd(limit), period }
  }

  /** Runtimes learn of the budget that is created now. Throws CageError `conflict`. */
  async #countNamed(sql: Sql, organizationId: string): Promise<void> {
    await sql.rows('UPDATE organizations SET budgets_version = budgets_version + 1 WHERE id = $1', [organizationId])
    const [row] = await sql.rows<{ count: number }>(
      "SELECT count(*) AS count FROM budgets WHERE organization_id = $1 AND scope IN ('agent', 'token')",
      [organizationId],
    )
    if (row!.count < MAX_NAMED_BUDGETS) return
    throw new CageError('conflict', `the organization has ${MAX_NAMED_BUDGETS} budgets of agents and tokens`, {
      hint: 'limit teams and users instead',
    })
  }

  async #organizationName(sql: Sql, organizationId: string): Promise<string> {
    const [row] = await sql.rows<{ name: string }>('SELECT name FROM organizations WHERE id = $1', [organizationId])
    return row!.name
  }

  async #requireRuntime(organizationId: string, runtimeId: string): Promise<void> {
    const rows = await this.#database.within(organizationId, (sql) =>
      sql.rows('SELECT id FROM runtimes WHERE id = $1 AND organization_id = $2', [runtimeId, organizationId]),
    )
    if (rows.length > 0) return
    throw new CageError('not_found', `there is no runtime "${runtimeId}"`, {
      hint: 'list them with "iron-cage runtimes list"',
    })
  }
}

interface BudgetOwner {
  organizationId: string
  scope: SharedScope
  name: string
}

/** `period`: null for a limit that does not renew. (Default: as before.) */
export type LimitChange = ({ limit: Nanodollars } | { add: Nanodollars }) & { period?: SharedPeriod | null }

const FROM_WIDE_TO_NARROW = `CASE scope ${SHARED_SCOPES.map((scope, at) => `WHEN '${scope}' THEN ${at}`).join(' ')} END`

/** Every runtime knows them. */
const MAX_NAMED_BUDGETS = 1_000
