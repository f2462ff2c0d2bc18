/**
 * Loads the rows that a decision of the bank needs, locked, and writes its changes. Decisions of one turn share a
 * transaction: rows of a budget are changed by everybody, and each lock and commit costs more than the decisions.
 */
import { Batch } from '../../core/batch.ts'
import { CageError } from '../../core/errors.ts'
import { type Nanodollars, ZERO_NANOS } from '../../core/money.ts'
import type { CallerNames } from '../../protocol/lease-messages.ts'
import { appendAudit } from '../db/audit-store.ts'
import type { PanelDatabase, Sql, Value } from '../db/database.ts'
import { insert } from '../db/insert.ts'
import { Books, type BudgetRow, type LeaseRow, nameOf, type RuntimeRow, type Transfer } from './bank.ts'
import { forgetGeneration, loadGeneration, noteTtl } from './generation-store.ts'
import { accountAt, budgetIdOf, endOf, isOfPeriod, type SharedPeriod } from './periods.ts'

/** The rows that a decision reads; the budgets of these rows come with them. */
export interface Needs {
  runtimeId: string
  /** (Default: none.) */
  leaseIds?: readonly string[]
  /** Also every lease of the runtime that is not closed. (Default: no.) */
  allLeases?: boolean
  /** The last state of the books that the runtime knows. (Default: unknown.) */
  bookmark?: string | null
  /** Of leases that these books may have forgotten. (Default: none.) */
  accountIds?: readonly string[]
  /** Whose own budgets are asked to pay as well. (Default: nobody's.) */
  names?: CallerNames
  /** A person asks, not the runtime. (Default: no.) */
  isByPerson?: boolean
}

interface Job {
  needs: Needs
  decide: (books: Books) => unknown
}

/** Larger batches would let their first members wait too long. */
const MAX_BATCH = 200
/** A runtime that reported within this time spends, in ms. */
const SPENDING_MS = 60_000

export class BankStore {
  readonly #database: PanelDatabase
  readonly #jobs: Batch<Job, unknown>
  readonly #onGeneration: (until: number) => void

  /** `onGeneration`: the books have lost commits, and lend nothing until then, in ms since 1970, unless all runtimes are heard. */
  constructor(database: PanelDatabase, onGeneration: (until: number) => void = () => {}) {
    this.#database = database
    this.#onGeneration = onGeneration
    this.#jobs = new Batch((jobs) => this.#runBatch(jobs), {
      gather: () => new Promise(setImmediate),
      choose: (waiting) => waiting.slice(0, MAX_BATCH),
    })
  }

  /** Looks whether the books are in the database in which they were. `ttlMs`: how long runtimes of this process may be silent. */
  async open(ttlMs: number): Promise<void> {
    const books = new Books()
    await this.#database.money(async (sql) => {
      await noteTtl(sql, ttlMs)
      await loadGeneration(sql, this.#database.dialect, books)
      await appendAudit(sql, this.#database.dialect, books.entries)
    })
    this.#report(books)
  }

  /**
   * Resolves with the result of `decide`, after its changes are committed; rejects with its error, or with CageError
   * `database_unusable`. `decide` throws before it changes anything.
   */
  run<T>(needs: Needs, decide: (books: Books) => T): Promise<T> {
    return this.#jobs.add({ needs, decide }) as Promise<T>
  }

  async #runBatch(jobs: readonly Job[]): Promise<unknown[]> {
    const books = new Books()
    const decided = this.#database.money(async (sql) => {
      await this.#load(sql, books, jobs)
      const results = jobs.map((job) => decideOne(job, books))
      await this.#write(sql, books, jobs)
      return results
    })
    const results = await decided.catch((cause) => {
      throw new CageError('database_unusable', "the panel's database cannot be used", {
        hint: 'check PostgreSQL; what was asked may be repeated',
        cause,
      })
    })
    this.#report(books)
    return results
  }

  #report({ reconciledUntil }: Books): void {
    if (reconciledUntil !== null) this.#onGeneration(reconciledUntil)
  }

  /** In the same order everywhere, so that panels never wait for each other in a ring: runtimes, then budgets, by id. */
  async #load(sql: Sql, books: Books, jobs: readonly Job[]): Promise<void> {
    const { isIn, forUpdate } = this.#database.dialect
    const bookmarks = jobs.flatMap(({ needs }) => needs.bookmark ?? [])
    await loadGeneration(sql, this.#database.dialect, books, bookmarks)
    const runtimes = await sql.rows<StoredRuntime>(
      `SELECT * FROM runtimes WHERE ${isIn('id', '$1')} ORDER BY id ${forUpdate}`,
      [list(jobs.map(({ needs }) => needs.runtimeId))],
    )
    for (const row of runtimes) books.runtimes.set(row.id, runtimeOf(row))
    const leases = await sql.rows<StoredLease>(
      `SELECT * FROM leases WHERE ${isIn('id', '$1')} OR (${isIn('runtime_id', '$2')} AND state <> 'closed')`,
      [
        list(jobs.flatMap(({ needs }) => needs.leaseIds ?? [])),
        list(jobs.flatMap(({ needs }) => (needs.allLeases ? [needs.runtimeId] : []))),
      ],
    )
    for (const row of leases) books.leases.set(row.id, leaseOf(row))
    await this.#loadOrganizations(sql, books)
    const forgotten = jobs.flatMap(({ needs }) => needs.accountIds ?? [])
    await this.#loadBudgets(sql, books, await this.#namedIds(sql, books, jobs), forgotten)
  }

  /** The ids of the budgets that callers were named for. */
  async #namedIds(sql: Sql, books: Books, jobs: readonly Job[]): Promise<string[]> {
    const names = jobs.flatMap(({ needs: { names } }) => (names ? [names.agent, names.token] : []))
    const known = names.filter((name) => name !== null)
    if (known.length === 0) return []
    const { isIn } = this.#database.dialect
    const rows = await sql.rows<{ id: string }>(
      `SELECT id FROM budgets WHERE ${isIn('organization_id', '$1')} AND ${isIn('name', '$2')} AND scope IN ('agent', 'token')`,
      [list([...books.organizations.keys()]), list(known)],
    )
    return rows.map(({ id }) => id)
  }

  async #loadOrganizations(sql: Sql, books: Books): Promise<void> {
    const { isIn, now } = this.#database.dialect
    const rows = await sql.rows<{ id: string; cover_s: number; budgets_version: number; spending: number }>(
      `SELECT id, cover_s, budgets_version,
         (SELECT count(*) FROM runtimes WHERE organization_id = organizations.id AND revoked_at IS NULL
            AND last_seen_at > ${now} - ${SPENDING_MS}) AS spending
       FROM organizations WHERE ${isIn('id', '$1')}`,
      [list([...books.runtimes.values()].map(({ organizationId }) => organizationId))],
    )
    for (const { id, cover_s: coverS, budgets_version: budgetsVersion, spending } of rows)
      books.organizations.set(id, { coverS, budgetsVersion, spending })
  }

  /** The accounts of leases, and those in which the budgets of runtimes and `named` ones count now. */
  async #loadBudgets(sql: Sql, books: Books, named: readonly string[], forgotten: readonly string[]): Promise<void> {
    const { isIn, forUpdate } = this.#database.dialect
    const paths = [...books.runtimes.values(), ...books.leases.values()].flatMap(({ path }) => path).concat(forgotten)
    const budgets = await sql.rows<StoredBudget>(
      `SELECT * FROM budgets WHERE ${isIn('id', '$1')} ORDER BY id ${forUpdate}`,
      [list([...paths.map(budgetIdOf), ...named])],
    )
    const byId = new Map(budgets.map((row) => [row.id, row]))
    for (const row of budgets) {
      books.budgets.set(row.id, budgetOf(row))
      if (row.scope === 'agent' || row.scope === 'token') {
        books.named.set(nameOf(row.organization_id, row.scope, row.name), row.id)
      }
      if (row.period === null) continue
      books.current.set(row.id, accountAt(row.id, row.period, books.now).id)
    }
    const ids = [...books.current.values(), ...paths.filter(isOfPeriod)]
    if (ids.length === 0) return
    const nothing = { settled: ZERO_NANOS, escrow: ZERO_NANOS, scarceUntil: 0 }
    for (const id of ids) {
      const budget = byId.get(budgetIdOf(id))
      if (budget) books.budgets.set(id, { ...budgetOf(budget), id, endsAt: endOf(id), ...nothing })
    }
    const periods = await sql.rows<StoredPeriod>(
      `SELECT * FROM budget_periods WHERE ${isIn('id', '$1')} ORDER BY id ${forUpdate}`,
      [list(ids)],
    )
    for (const row of periods) books.budgets.set(row.id, accountOf(byId.get(row.budget_id)!, row))
  }

  async #write(sql: Sql, books: Books, jobs: readonly Job[]): Promise<void> {
    const changed = [...books.changed]
    const of = <Row>(rows: Map<string, Row>) => changed.filter((row) => rows.get((row as { id: string }).id) === row)
    const accounts = of(books.budgets) as BudgetRow[]
    await upsert(sql, 'budgets', accounts.filter(({ id }) => !isOfPeriod(id)).map(storedBudget))
    await upsert(sql, 'budget_periods', accounts.filter(({ id }) => isOfPeriod(id)).map(storedPeriod))
    for (const row of of(books.runtimes) as RuntimeRow[]) {
      const { id, journalId, opening, heardAt, epoch, generation, isRevoked } = row
      const revoked = isRevoked ? books.now : null
      await sql.rows(
        `UPDATE runtimes SET journal_id = $2, epoch = $3, generation = $4, revoked_at = coalesce(revoked_at, $5),
           opening = $6, heard_at = $7 WHERE id = $1`,
        [id, journalId, epoch, generation, revoked, opening, heardAt],
      )
    }
    await upsert(sql, 'leases', (of(books.leases) as LeaseRow[]).map(storedLease))
    await insert(
      sql,
      'transfers',
      books.transfers.map((transfer) => storedTransfer(transfer, books.now)),
    )
    const { isIn } = this.#database.dialect
    if (books.hasForgotten) await forgetGeneration(sql, this.#database.dialect, books)
    await appendAudit(sql, this.#database.dialect, books.entries)
    await sql.rows(`UPDATE runtimes SET last_seen_at = $2 WHERE ${isIn('id', '$1')}`, [
      list(jobs.flatMap(({ needs }) => (needs.isByPerson ? [] : [needs.runtimeId]))),
      books.now,
    ])
  }
}

/** Returns the result of a decision, or its error, which concerns no other decision. */
function decideOne({ decide }: Job, books: Books): unknown {
  try {
    return decide(books)
  } catch (error) {
    return error
  }
}

export interface StoredBudget {
  id: string
  organization_id: string
  scope: BudgetRow['scope']
  name: string
  limit_nanos: Nanodollars
  settled_nanos: Nanodollars
  escrow_nanos: Nanodollars
  scarce_until: number
  /** Null for one that does not renew. */
  period: SharedPeriod | null
}

/** The account of a renewing budget in one period. */
export interface StoredPeriod {
  id: string
  budget_id: string
  organization_id: string
  ends_at: number
  settled_nanos: Nanodollars
  escrow_nanos: Nanodollars
  scarce_until: number
}

/** What counts of a budget now, and until when, in ms since 1970. `periods`: by id, of the accounts that have not ended. */
export function balanceOf(budget: StoredBudget, periods: ReadonlyMap<string, StoredPeriod>, now: number) {
  const { id, period, settled_nanos, escrow_nanos } = budget
  if (period === null) return { settled_nanos, escrow_nanos, ends_at: null }
  const { id: accountId, endsAt: ends_at } = accountAt(id, period, now)
  const account = periods.get(accountId)
  return {
    settled_nanos: account?.settled_nanos ?? ZERO_NANOS,
    escrow_nanos: account?.escrow_nanos ?? ZERO_NANOS,
    ends_at,
  }
}

export interface StoredRuntime {
  id: string
  organization_id: string
  name: string
  path: string
  token_hash: string
  journal_id: string | null
  opening: string | null
  heard_at: number
  epoch: number
  generation: number
  version: string
  /** Whose secrets it may have, as JSON. */
  environments: string
  joined_at: number
  last_seen_at: number | null
  revoked_at: number | null
}

export interface StoredLease {
  id: string
  organization_id: string
  runtime_id: string
  path: string
  granted_nanos: Nanodollars
  used_nanos: Nanodollars
  returned_nanos: Nanodollars
  held_nanos: Nanodollars
  state: LeaseRow['state']
  expires_at: number
}

export const budgetOf = (row: StoredBudget): BudgetRow => ({
  id: row.id,
  organizationId: row.organization_id,
  scope: row.scope,
  name: row.name,
  limit: row.limit_nanos,
  settled: row.settled_nanos,
  escrow: row.escrow_nanos,
  scarceUntil: row.scarce_until,
  endsAt: null,
})

/** The account of a period. */
export const accountOf = (budget: StoredBudget, row: StoredPeriod): BudgetRow => ({
  ...budgetOf({ ...budget, ...row }),
  endsAt: row.ends_at,
})

const storedPeriod = (row: BudgetRow): Stored<StoredPeriod> => ({
  id: row.id,
  budget_id: budgetIdOf(row.id),
  organization_id: row.organizationId,
  ends_at: row.endsAt!,
  settled_nanos: row.settled,
  escrow_nanos: row.escrow,
  scarce_until: row.scarceUntil,
})

const storedBudget = (row: BudgetRow): Stored<Omit<StoredBudget, 'period'>> => ({
  id: row.id,
  organization_id: row.organizationId,
  scope: row.scope,
  name: row.name,
  limit_nanos: row.limit,
  settled_nanos: row.settled,
  escrow_nanos: row.escrow,
  scarce_until: row.scarceUntil,
})

const runtimeOf = (row: StoredRuntime): RuntimeRow => ({
  id: row.id,
  organizationId: row.organization_id,
  path: JSON.parse(row.path) as string[],
  journalId: row.journal_id,
  opening: row.opening,
  heardAt: row.heard_at,
  epoch: row.epoch,
  generation: row.generation,
  isRevoked: row.revoked_at !== null,
})

export const leaseOf = (row: StoredLease): LeaseRow => ({
  id: row.id,
  organizationId: row.organization_id,
  runtimeId: row.runtime_id,
  path: JSON.parse(row.path) as string[],
  granted: row.granted_nanos,
  used: row.used_nanos,
  returned: row.returned_nanos,
  held: row.held_nanos,
  state: row.state,
  expiresAt: row.expires_at,
})

const storedLease = (row: LeaseRow): Stored<StoredLease> => ({
  id: row.id,
  organization_id: row.organizationId,
  runtime_id: row.runtimeId,
  path: JSON.stringify(row.path),
  granted_nanos: row.granted,
  used_nanos: row.used,
  returned_nanos: row.returned,
  held_nanos: row.held,
  state: row.state,
  expires_at: row.expiresAt,
})

const storedTransfer = (row: Transfer, at: number) => ({
  at,
  organization_id: row.organizationId,
  lease_id: row.leaseId,
  kind: row.kind,
  amount_nanos: row.amount,
  decided_by: row.by,
  reason: row.reason,
})

type Stored<Row> = { [Name in keyof Row]: Row[Name] & Value }

/** Inserts rows, or replaces those with the same id. */
const upsert = (sql: Sql, table: string, rows: readonly Record<string, Value>[]): Promise<void> =>
  insert(sql, table, rows, (columns) => {
    const changes = columns.filter((name) => name !== 'id').map((name) => `${name} = excluded.${name}`)
    return ` ON CONFLICT (id) DO UPDATE SET ${changes.join(', ')}`
  })

/** A JSON list without repetitions, for `isIn`. */
const list = (texts: readonly string[]): string => JSON.stringify([...new Set(texts)])
