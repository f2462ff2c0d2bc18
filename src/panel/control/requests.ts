/** People and agents (`agent-requests.ts`) ask for more of a budget, and another person decides. */
import { lookup } from '../../core/batch.ts'
import { CageError } from '../../core/errors.ts'
import { type Nanodollars, toUsd, ZERO_NANOS } from '../../core/money.ts'
import { type Member, newId, noBudget } from '../access/credentials.ts'
import type { SharedScope } from '../bank/bank.ts'
import { appendAudit } from '../db/audit-store.ts'
import type { Dialect, PanelDatabase, Sql } from '../db/database.ts'
import { insert } from '../db/insert.ts'

export interface StoredRequest {
  id: string
  organization_id: string
  scope: SharedScope
  /** Of the budget. */
  name: string
  amount_nanos: Nanodollars
  reason: string
  asked_by: string
  /** The credential that was used; for an agent, its runtime. */
  asked_with: string
  asked_at: number
  state: 'pending' | 'approved' | 'rejected'
  decided_by: string | null
  decided_at: number | null
  decision: string | null
}

/** Requests of people of one organization that wait. */
const MAX_PENDING = 100
const MAX_LISTED = 200

type Verdict = 'approved' | 'rejected'

export interface RequestsOptions {
  database: PanelDatabase
  /** Raises the limit, in the transaction of the decision. */
  raise: (
    sql: Sql,
    whose: { organizationId: string; scope: SharedScope; name: string },
    by: Nanodollars,
  ) => Promise<void>
  /** Throws CageError `forbidden` unless this person, who is no admin, may decide on the request. */
  requireLead: (sql: Sql, member: Member, request: StoredRequest, more: Nanodollars) => Promise<void>
}

export class Requests {
  readonly #database: PanelDatabase
  readonly #dialect: Dialect
  readonly #raise: RequestsOptions['raise']
  readonly #requireLead: RequestsOptions['requireLead']
  /** By organization, since every page asks each second. */
  readonly #lists = lookup(async (ids) => {
    const lists = ids.map(async (id) => [id, await this.#list(id)] as const)
    return new Map(await Promise.all(lists))
  })

  constructor({ database, raise, requireLead }: RequestsOptions) {
    this.#database = database
    this.#dialect = database.dialect
    this.#raise = raise
    this.#requireLead = requireLead
  }

  /** `name`: null for the organization's. Throws CageError `not_found` for a budget that does not exist, or `conflict`. */
  create(
    { organizationId, id: asked_with, name: asked_by }: Member,
    { scope, name }: { scope: SharedScope; name: string | null },
    amount: Nanodollars,
    reason: string,
  ): Promise<StoredRequest> {
    return this.#database.within(organizationId, async (sql) => {
      const budgets = await sql.rows<{ name: string; now: number }>(
        `SELECT name, ${this.#dialect.now} AS now FROM budgets WHERE organization_id = $1 AND scope = $2`,
        [organizationId, scope],
      )
      const budget = budgets.find((row) => name === null || row.name === name)
      if (!budget) throw noBudget(scope, name)
      const pending = await sql.rows(
        `SELECT id FROM requests WHERE organization_id = $1 AND state = 'pending'
         AND asked_with NOT IN (SELECT id FROM runtimes WHERE organization_id = $1)`,
        [organizationId],
      )
      if (pending.length >= MAX_PENDING)
        throw new CageError('conflict', `${MAX_PENDING} requests wait for a decision`, {
          hint: 'ask an admin to decide on those of "iron-cage requests list"',
        })
      const asker = { asked_by, asked_with, asked_at: budget.now }
      const request = pendingRequest({
        ...{ organization_id: organizationId, scope, name: budget.name, amount, reason },
        ...asker,
      })
      await insert(sql, 'requests', [request])
      return request
    })
  }

  /** Those that wait first, then the last decided ones. */
  async list(organizationId: string): Promise<StoredRequest[]> {
    return (await this.#lists.add(organizationId))!
  }

  #list(organizationId: string): Promise<StoredRequest[]> {
    return this.#database.within(organizationId, (sql) =>
      sql.rows<StoredRequest>(
        `SELECT * FROM requests WHERE organization_id = $1
         ORDER BY CASE state WHEN 'pending' THEN 0 ELSE 1 END, COALESCE(decided_at, asked_at) DESC, id LIMIT ${MAX_LISTED}`,
        [organizationId],
      ),
    )
  }

  /**
   * Decides once; an approval raises the limit. Throws CageError `not_found`, `conflict` for a request that was decided, or
   * `forbidden` for one's own, or of which neither an admin nor the lead of a team may decide.
   */
  async decide(member: Member, id: string, verdict: Verdict, decision: string): Promise<void> {
    const { organizationId, name: by } = member
    await this.#database.within(organizationId, async (sql) => {
      const [request] = await sql.rows<StoredRequest & { now: number }>(
        `SELECT *, ${this.#dialect.now} AS now FROM requests WHERE organization_id = $1 AND id = $2 ${this.#dialect.forUpdate}`,
        [organizationId, id],
      )
      requireDecidable(request, id)
      if (await this.#isOwn(sql, request, member)) {
        throw new CageError('forbidden', 'nobody decides on a request of their own', { hint: 'ask another admin' })
      }
      const more = verdict === 'approved' ? request.amount_nanos : ZERO_NANOS
      if (member.role !== 'admin') await this.#requireLead(sql, member, request, more)
      await sql.rows('UPDATE requests SET state = $2, decided_by = $3, decided_at = $4, decision = $5 WHERE id = $1', [
        ...[id, verdict, by],
        ...[request.now, decision],
      ])
      const { scope, name, amount_nanos: amount, asked_by, reason } = request
      if (verdict === 'approved') await this.#raise(sql, { organizationId, scope, name }, amount)
      const details = { budget: `${scope} ${name}`, add_usd: toUsd(amount), asked_by, reason, decision }
      const entry = { organizationId, actor: by, action: `request.${verdict}`, target: id, details }
      await appendAudit(sql, this.#dialect, [entry])
    })
    if (verdict === 'approved') await this.#database.announce(organizationId)
  }

  /**
   * Whichever of their tokens and sessions a person uses. Whoever creates a token for another has its value too. An
   * agent's request belongs to its machine's person.
   */
  async #isOwn(sql: Sql, request: StoredRequest, member: Member): Promise<boolean> {
    const { asked_with, asked_by, organization_id } = request
    const { id, name, userId = null } = member
    if (asked_with === id || asked_by === name) return true
    const rows = await sql.rows<{ id: string; user_id: string | null; created_by: string | null }>(
      'SELECT id, user_id, created_by FROM credentials WHERE organization_id = $1 AND id IN ($2, $3)',
      [organization_id, asked_with, id],
    )
    const asker = rows.find((row) => row.id === asked_with)
    const decider = rows.find((row) => row.id === id)
    const owners = await this.#ownersOf(sql, request)
    if (owners.length > 0) {
      const people = await sql.rows<{ username: string }>(
        'SELECT username FROM users WHERE organization_id = $1 AND id = $2',
        [organization_id, userId],
      )
      const names = [name, decider?.created_by, ...people.map(({ username }) => username)]
      return names.some((each) => each && owners.includes(each.toLowerCase()))
    }
    if (asker?.user_id && decider?.user_id) return asker.user_id === decider.user_id
    return asker?.created_by === name || decider?.created_by === asked_by
  }

  /** The people, in lower case, whose own budgets pay for the runtime that asked; none for a request of a person. */
  async #ownersOf(sql: Sql, { organization_id, asked_with }: StoredRequest): Promise<string[]> {
    const [machine] = await sql.rows<{ path: string }>(
      'SELECT path FROM runtimes WHERE organization_id = $1 AND id = $2',
      [organization_id, asked_with],
    )
    if (!machine) return []
    const budgets = await sql.rows<{ name: string }>(
      `SELECT name FROM budgets WHERE organization_id = $1 AND scope = 'user' AND ${this.#dialect.isIn('id', '$2')}`,
      [organization_id, machine.path],
    )
    return budgets.map((budget) => budget.name.toLowerCase())
  }
}

/** A new one, not stored yet. */
export const pendingRequest = ({
  amount,
  ...asked
}: Pick<StoredRequest, 'organization_id' | 'scope' | 'name' | 'reason' | 'asked_by' | 'asked_with' | 'asked_at'> & {
  amount: Nanodollars
}): StoredRequest => ({
  ...asked,
  ...{ id: newId('request'), amount_nanos: amount, state: 'pending' },
  ...{ decided_by: null, decided_at: null, decision: null },
})

function requireDecidable(
  request: StoredRequest | undefined,
  id: string,
): asserts request is StoredRequest & { now: number } {
  if (!request) {
    throw new CageError('not_found', `there is no request "${id}"`, {
      hint: 'list them with "iron-cage requests list"',
    })
  }
  if (request.state !== 'pending') {
    throw new CageError('conflict', `request ${id} was ${request.state} by ${request.decided_by}`, {
      hint: 'see "iron-cage requests list"',
    })
  }
}
