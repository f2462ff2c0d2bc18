/**
 * The identities of the books, each compared in one statement, which sees one moment. What moved since an earlier check is
 * enough for one each hour; leases that are closed are never changed again.
 *
 * - No account has more settled and lent than its limit, except for costs of calls beyond their leases, its amount when
 *   its limit was lowered, and leases that were presented after lost commits.
 * - An account's escrow equals its open leases.
 * - A lease was granted, used and gave back the amounts of its transfers, and a closed one accounts for all of it.
 */

import { fromUsd, type Nanodollars, type Usd } from '../../core/money.ts'
import type { Dialect, Sql, Value } from '../db/database.ts'
import type { LeaseState, SharedScope } from './bank.ts'

export interface BooksProblem {
  organization_id: string
  /** The id of the account or lease. */
  id: string
  /** The same for people, such as "team research". */
  label: string
  /** Its problems, without names. */
  text: string
}

interface AccountRow {
  kind: 'account'
  id: string
  organization_id: string
  scope: SharedScope
  name: string
  limit_nanos: Nanodollars
  settled_nanos: Nanodollars
  escrow_nanos: Nanodollars
}

/** Of the leases that the same accounts pay for. */
interface PathRow {
  kind: 'path'
  path: string
  lent: Nanodollars
  used: Nanodollars
}

/** Leases, or transfers whose leases, are looked at in one statement. */
const PAGE = 10_000

/** Compares everything. */
export async function checkAll(sql: Sql, dialect: Dialect): Promise<BooksProblem[]> {
  const problems = await checkAccounts(sql, dialect, 'all')
  const page = `SELECT max(id) AS last FROM (SELECT id FROM leases WHERE id > $1 ORDER BY id LIMIT ${PAGE}) AS page`
  for (let after = ''; ; ) {
    const [{ last }] = (await sql.rows<{ last: string | null }>(page, [after])) as [{ last: string | null }]
    if (last === null) return problems
    problems.push(...(await checkLeases(sql, 'leases.id > $1 AND leases.id <= $2', [after, last])))
    after = last
  }
}

/** Compares accounts with open leases, and open leases and those that moved after this transfer with their transfers. */
export async function checkMoved(sql: Sql, dialect: Dialect, after: number): Promise<BooksProblem[]> {
  const problems = [
    ...(await checkAccounts(sql, dialect, 'open')),
    ...(await checkLeases(sql, "state <> 'closed'", [])),
  ]
  for (let from = after, last = await lastTransfer(sql); from < last; from += PAGE) {
    const moved = 'leases.id IN (SELECT lease_id FROM transfers WHERE n > $1 AND n <= $2)'
    problems.push(...(await checkLeases(sql, moved, [from, from + PAGE])))
  }
  return [...new Map(problems.map((problem) => [`${problem.id} ${problem.text}`, problem])).values()]
}

/** The number of the last transfer; 0 for none. */
export async function lastTransfer(sql: Sql): Promise<number> {
  const [row] = await sql.rows<{ n: number }>('SELECT coalesce(max(n), 0) AS n FROM transfers')
  return row!.n
}

/** As `escrowOf`. */
const ESCROW = `CASE WHEN state <> 'closed' AND granted_nanos > used_nanos + returned_nanos
  THEN granted_nanos - used_nanos - returned_nanos ELSE 0 END`

/** `which`: with `all` leases the settled amount is compared as well. */
async function checkAccounts(sql: Sql, dialect: Dialect, which: 'open' | 'all'): Promise<BooksProblem[]> {
  const rows = await sql.rows<AccountRow | PathRow>(
    `SELECT 'account' AS kind, id, organization_id, scope, name, limit_nanos, settled_nanos, escrow_nanos,
       CAST(NULL AS TEXT) AS path, CAST(NULL AS BIGINT) AS lent, CAST(NULL AS BIGINT) AS used FROM budgets
     UNION ALL
     SELECT 'account', p.id, p.organization_id, scope, name, limit_nanos, p.settled_nanos, p.escrow_nanos, NULL, NULL, NULL
     FROM budget_periods p JOIN budgets ON budgets.id = budget_id
     UNION ALL
     SELECT 'path', NULL, NULL, NULL, NULL, NULL, NULL, NULL, path, CAST(sum(${ESCROW}) AS BIGINT), CAST(sum(used_nanos) AS BIGINT)
     FROM leases ${which === 'open' ? "WHERE state <> 'closed'" : ''} GROUP BY path`,
  )
  const lent = new Map<string, number>()
  const used = new Map<string, number>()
  const increase = (sums: Map<string, number>, id: string, amount: number) => sums.set(id, (sums.get(id) ?? 0) + amount)
  const accounts: AccountRow[] = []
  for (const row of rows) {
    if (row.kind === 'account') {
      accounts.push(row)
      continue
    }
    for (const id of JSON.parse(row.path) as string[]) {
      increase(lent, id, row.lent)
      increase(used, id, row.used)
    }
  }
  const problems: BooksProblem[] = []
  for (const row of accounts) {
    const { id, organization_id, scope, name, limit_nanos: limit, settled_nanos: settled, escrow_nanos: escrow } = row
    const add = (text: string) => problems.push({ organization_id, id, label: `${scope} ${name}`, text })
    const sums = { lent: lent.get(id) ?? 0, used: used.get(id) ?? 0 }
    if (escrow !== sums.lent) add(`has ${escrow} in escrow, its leases ${sums.lent}`)
    if (which === 'all' && settled !== sums.used) add(`has ${settled} settled, its leases used ${sums.used}`)
    if (settled + escrow > limit && !(await mayExceed(sql, dialect, row))) {
      add(`has ${settled} settled and ${escrow} in escrow of ${limit}`)
    }
  }
  return problems
}

/** Whether an account has more than its limit for a reason that is in the books. */
async function mayExceed(sql: Sql, dialect: Dialect, account: AccountRow): Promise<boolean> {
  const { organization_id, scope, name, settled_nanos: settled, escrow_nanos: escrow } = account
  const entries = await sql.rows<{ at: number; action: string; details: string }>(
    `SELECT at, action, details FROM audit WHERE organization_id = $1
       AND (action = 'books.reconciled' OR (action = 'budget.changed' AND target = $2)) ORDER BY n`,
    [organization_id, `${scope} ${name}`],
  )
  if (entries.some(({ action }) => action === 'books.reconciled')) return true
  const lowered = entries.flatMap(({ at, details }) => {
    const { from_usd, limit_usd } = JSON.parse(details) as { from_usd: Usd | null; limit_usd: Usd }
    return from_usd !== null && fromUsd(from_usd) > fromUsd(limit_usd) ? [{ at, from: fromUsd(from_usd) }] : []
  })
  return settled + escrow <= (await mostOf(sql, dialect, account, lowered))
}

/**
 * The most that an account can have settled and lent: its limit, or its amount when its limit was last lowered if that
 * is more, and costs beyond leases since. Its amount then is bounded likewise, by the limit before.
 */
async function mostOf(
  sql: Sql,
  { isIn }: Dialect,
  { id, organization_id, limit_nanos: limit }: AccountRow,
  lowered: readonly { at: number; from: Nanodollars }[],
): Promise<number> {
  const cases = lowered.map(({ at }, part) => `WHEN transfers.at <= ${at} THEN ${part}`).join(' ')
  const rows = await sql.rows<{ part: number; amount: string; overrun: string }>(
    `SELECT CASE ${cases} WHEN TRUE THEN ${lowered.length} END AS part,
       CAST(sum(CASE WHEN kind IN ('granted', 'overrun') THEN amount_nanos
         WHEN kind IN ('returned', 'released') THEN -amount_nanos ELSE 0 END) AS TEXT) AS amount,
       CAST(sum(CASE WHEN kind = 'overrun' THEN amount_nanos ELSE 0 END) AS TEXT) AS overrun
     FROM transfers JOIN leases ON leases.id = lease_id
     WHERE leases.organization_id = $1 AND ${isIn('CAST($2 AS TEXT)', 'leases.path')} GROUP BY part`,
    [organization_id, id],
  )
  const parts = new Map(
    rows.map(({ part, amount, overrun }) => [part, { amount: Number(amount), overrun: Number(overrun) }]),
  )
  const partOf = (part: number) => parts.get(part) ?? { amount: 0, overrun: 0 }
  let [has, most] = [0, 0]
  for (const [part, { from }] of lowered.entries()) {
    has += partOf(part).amount
    most = Math.min(has, Math.max(most, from) + partOf(part).overrun)
  }
  return Math.max(most, limit) + partOf(lowered.length).overrun
}

interface LeaseRow {
  id: string
  organization_id: string
  state: LeaseState
  granted_nanos: Nanodollars
  used_nanos: Nanodollars
  returned_nanos: Nanodollars
  granted: Nanodollars
  spent: Nanodollars
  back: Nanodollars
}

const sumOf = (...kinds: string[]) =>
  `CAST(coalesce(sum(CASE WHEN kind IN (${kinds.map((kind) => `'${kind}'`).join()}) THEN amount_nanos END), 0) AS BIGINT)`
const GRANTED = sumOf('granted')
const SPENT = sumOf('charged', 'presumed', 'overrun')
const BACK = sumOf('returned', 'released')

/** `which`: a condition on the leases. */
async function checkLeases(sql: Sql, which: string, values: readonly Value[]): Promise<BooksProblem[]> {
  const rows = await sql.rows<LeaseRow>(
    `SELECT leases.id, leases.organization_id, state, granted_nanos, used_nanos, returned_nanos,
       ${GRANTED} AS granted, ${SPENT} AS spent, ${BACK} AS back
     FROM leases LEFT JOIN transfers ON lease_id = leases.id WHERE ${which} GROUP BY leases.id
     HAVING granted_nanos <> ${GRANTED} OR used_nanos <> ${SPENT} OR returned_nanos <> ${BACK}
       OR (state = 'closed' AND used_nanos + returned_nanos < granted_nanos)
     ORDER BY leases.id`,
    values,
  )
  return rows.flatMap(({ id, organization_id, state, granted_nanos, used_nanos, returned_nanos, ...moved }) => {
    const texts: string[] = []
    const compare = (what: string, of: Nanodollars, sum: Nanodollars) => {
      if (of !== sum) texts.push(`${what} ${of}, its transfers say ${sum}`)
    }
    compare('was granted', granted_nanos, moved.granted)
    compare('used', used_nanos, moved.spent)
    compare('returned', returned_nanos, moved.back)
    const ended = used_nanos + returned_nanos
    if (state === 'closed' && ended < granted_nanos)
      texts.push(`is closed and accounts for ${ended} of ${granted_nanos}`)
    return texts.map((text) => ({ organization_id, id, label: `lease ${id}`, text }))
  })
}
