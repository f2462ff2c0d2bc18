/** The causes of alerts to the admins of an organization: found in the stored data, by whichever process looks. */
import { wordSpent } from '../../alerts/wording.ts'
import { PANEL_ALERTS } from '../../config/schema.ts'
import { isoTime } from '../../core/clock.ts'
import type { Level } from '../../core/events.ts'
import { type Nanodollars, showUsd, suggestedIncrease, toUsd } from '../../core/money.ts'
import { DEFAULT_POLICY } from '../../redaction/policy.ts'
import { Redactor } from '../../redaction/redactor.ts'
import type { LeaseState, SharedScope } from '../bank/bank.ts'
import { brokenBooks } from '../bank/books-watch.ts'
import { accountAt, type SharedPeriod } from '../bank/periods.ts'
import type { StoredRequest } from '../control/requests.ts'
import type { Dialect, Sql } from '../db/database.ts'
import type { PanelAlertKind } from '../fleet-view.ts'
import { type StoredSpendingAlert, sentenceOf } from './spending-alerts.ts'

/** `test`: sent to see whether alerts arrive, wherever they go. */
export type SentKind = PanelAlertKind | 'test'

export interface Cause {
  organization_id: string
  kind: PanelAlertKind
  /** Says with the kind whether it is the same as before. */
  subject: string
  level: Level
  title: string
  detail: string
  /** By the database's clock, in ms since 1970. */
  now: number
}

/** How long a machine that was lent money may be silent, in ms. */
const MAX_SILENCE_MS = 86_400_000
/** What happened earlier is no news for a panel that is given a place to send it to. */
const MAX_AGE_MS = 86_400_000
/**
 * Within ten minutes, whether right after each other or not. Seven guesses of one name from one address are slowed down:
 * twenty are several names or addresses, and more than what people mistype.
 */
export const MANY_FAILURES = 20
/** Percents of a shared budget's limit: once each in a period, and again for another limit. Of the last one little is left. */
const WARNED_AT = [90, 99] as const

/** What finds each kind. */
const FINDERS: Readonly<Record<PanelAlertKind, (sql: Sql, now: number) => Promise<Omit<Cause, 'kind' | 'now'>[]>>> = {
  'budget.warned': warnedBudgets,
  'spending.unusual': unusualSpending,
  'lease.quarantined': quarantinedLeases,
  'lease.expired': expiredLeases,
  'request.created': waitingRequests,
  'sign_in.failed': failedSignIns,
  'books.broken': brokenAccounts,
}

/** `sql`: sees every organization. */
export async function findCauses(sql: Sql, { now }: Dialect): Promise<Cause[]> {
  const [clock] = await sql.rows<{ now: number }>(`SELECT ${now} AS now`)
  const found: Cause[] = []
  for (const kind of PANEL_ALERTS) {
    found.push(...(await FINDERS[kind](sql, clock!.now)).map((cause) => ({ ...cause, kind, now: clock!.now })))
  }
  return found
}

async function warnedBudgets(sql: Sql, now: number) {
  const columns = 'budgets.id AS budget_id, budgets.organization_id, scope, name, period, limit_nanos'
  const rows = await sql.rows<WarnedBudget>(
    `SELECT * FROM (
       SELECT ${columns}, id AS account_id, settled_nanos FROM budgets WHERE period IS NULL
       UNION ALL
       SELECT ${columns}, budget_periods.id, budget_periods.settled_nanos
       FROM budget_periods JOIN budgets ON budgets.id = budget_id WHERE period IS NOT NULL AND ends_at > $1
     ) AS accounts WHERE limit_nanos > 0 AND settled_nanos * 100 >= limit_nanos * ${WARNED_AT[0]}`,
    [now],
  )
  // A budget whose period was changed has accounts of both.
  const current = rows.filter(
    ({ budget_id, period, account_id }) => period === null || accountAt(budget_id, period, now).id === account_id,
  )
  return current.map(({ account_id, organization_id, scope, name, limit_nanos: limit, settled_nanos: settled }) => {
    const percent = (100 * settled) / limit
    const reached = WARNED_AT.findLast((share) => percent >= share)!
    // A name that a shell would read as something else is not part of a command.
    const whose = scope === 'organization' ? '--org' : `--${scope} ${/^[\w.@-]+$/.test(name) ? name : '<name>'}`
    return {
      ...{ organization_id, subject: `${account_id} ${limit} ${reached}` },
      level: reached === WARNED_AT.at(-1) ? ('CRIT' as const) : ('WARN' as const),
      title: `Budget warning — ${scope} ${name}`,
      detail: `${wordSpent(toUsd(settled), toUsd(limit), percent)} To approve more: iron-cage budget add ${whose} ${toUsd(suggestedIncrease(limit))}`,
    }
  })
}

interface WarnedBudget {
  budget_id: string
  /** In which it counts now. */
  account_id: string
  organization_id: string
  scope: SharedScope
  name: string
  period: SharedPeriod | null
  limit_nanos: Nanodollars
  settled_nanos: Nanodollars
}

async function unusualSpending(sql: Sql, now: number) {
  const rows = await sql.rows<StoredSpendingAlert>('SELECT * FROM spending_alerts WHERE raised_at > $1', [
    now - MAX_AGE_MS,
  ])
  return rows.map((alert) => ({
    ...{ organization_id: alert.organization_id, level: 'WARN' as const },
    subject: `${alert.day} ${alert.scope} ${alert.name}`,
    title: `Unusual spending — ${alert.scope} ${alert.name}`,
    detail: `${sentenceOf(alert)}. To see what it was: iron-cage budget get --org`,
  }))
}

async function quarantinedLeases(sql: Sql) {
  const rows = await leasesIn(sql, 'quarantined', Number.MAX_SAFE_INTEGER)
  return rows.map(({ id, organization_id, name, left_nanos: left }) => ({
    ...{ organization_id, subject: id, level: 'CRIT' as const },
    title: `Lease quarantined — ${name}`,
    detail: `${name} came back with another database, or lost power. ${showUsd(toUsd(left))} stays lent until a person says what was spent. ${resolveCommand(id)}`,
  }))
}

/** A machine that sleeps over night comes back by itself. */
async function expiredLeases(sql: Sql, now: number) {
  const rows = await leasesIn(sql, 'expired', now - MAX_SILENCE_MS)
  return rows.map(({ id, organization_id, name, left_nanos: left, expires_at: since }) => ({
    ...{ organization_id, subject: id, level: 'WARN' as const },
    title: `Machine silent — ${name}`,
    detail: `${name} has not accounted for ${showUsd(toUsd(left))} since ${isoTime(since)}. It stays lent until the machine is back, or a person says what was spent. ${resolveCommand(id)}`,
  }))
}

/** `before`: those that had expired then, in ms since 1970. */
const leasesIn = (sql: Sql, state: LeaseState, before: number) =>
  sql.rows<{ id: string; organization_id: string; name: string; left_nanos: Nanodollars; expires_at: number }>(
    `SELECT leases.id, leases.organization_id, runtimes.name, expires_at,
       granted_nanos - used_nanos - returned_nanos AS left_nanos
     FROM leases JOIN runtimes ON runtimes.id = runtime_id WHERE state = $1 AND expires_at < $2`,
    [state, before],
  )

const resolveCommand = (id: string): string =>
  `To resolve it: iron-cage runtimes resolve ${id} --spent <usd> --reason <text>`

async function waitingRequests(sql: Sql) {
  // Anybody may have typed anything, and it leaves the panel.
  const redactor = new Redactor(DEFAULT_POLICY)
  const rows = await sql.rows<StoredRequest>("SELECT * FROM requests WHERE state = 'pending'")
  return rows.map(({ id, organization_id, scope, name, amount_nanos: amount, asked_by, reason }) => ({
    ...{ organization_id, subject: id, level: 'WARN' as const },
    title: `Approval needed — ${scope} ${name}`,
    detail: `${asked_by} asks for ${showUsd(toUsd(amount))} more: "${redactor.redact(reason).text}". To decide: iron-cage requests approve ${id} --reason <text>`,
  }))
}

async function failedSignIns(sql: Sql) {
  const rows = await sql.rows<{ organization_id: string; count: number; since: number }>(
    'SELECT * FROM sign_in_failures WHERE count >= $1',
    [MANY_FAILURES],
  )
  return rows.map(({ organization_id, count, since }) => ({
    ...{ organization_id, subject: String(since), level: 'WARN' as const },
    title: 'Many failed sign-ins',
    detail: `${count} since ${isoTime(since)}. The audit on the page of the panel says how many they were in the end`,
  }))
}

async function brokenAccounts(sql: Sql) {
  return (await brokenBooks(sql)).map(({ organization_id, id, text, found_at }) => ({
    ...{ organization_id, subject: `${id} ${found_at}`, level: 'CRIT' as const },
    title: 'Books do not agree',
    detail: `${id} ${text}, in nanodollars. Whoever runs the panel sees everything with: iron-cage panel doctor`,
  }))
}
