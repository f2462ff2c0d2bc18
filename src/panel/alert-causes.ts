/** What the admins of an organization are alerted to: found in what is stored, by whichever process looks. */
import { isoTime } from '../clock.ts'
import type { PANEL_ALERTS } from '../config/schema.ts'
import type { Level } from '../events.ts'
import { type Nanodollars, showUsd, toUsd } from '../money.ts'
import type { Dialect, Sql } from './db/database.ts'
import type { StoredRequest } from './requests.ts'
import { type StoredSpendingAlert, sentenceOf } from './spending-alerts.ts'

export type PanelAlertKind = (typeof PANEL_ALERTS)[number]

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

/** What happened earlier is no news for a panel that is given a place to send it to. */
const MAX_AGE_MS = 86_400_000
/**
 * Within ten minutes, whether right after each other or not. Seven guesses of one name from one address are slowed down:
 * twenty are several names or addresses, and more than what people mistype.
 */
export const MANY_FAILURES = 20

/** `sql`: sees every organization. */
export async function findCauses(sql: Sql, { now }: Dialect): Promise<Cause[]> {
  const [clock] = await sql.rows<{ now: number }>(`SELECT ${now} AS now`)
  const found: Cause[] = []
  for (const find of [unusualSpending, quarantinedLeases, waitingRequests, failedSignIns]) {
    found.push(...(await find(sql, clock!.now)))
  }
  return found
}

async function unusualSpending(sql: Sql, now: number): Promise<Cause[]> {
  const rows = await sql.rows<StoredSpendingAlert>('SELECT * FROM spending_alerts WHERE raised_at > $1', [
    now - MAX_AGE_MS,
  ])
  return rows.map((alert) => ({
    ...{ organization_id: alert.organization_id, kind: 'spending.unusual', level: 'WARN', now },
    subject: `${alert.day} ${alert.scope} ${alert.name}`,
    title: `Unusual spending — ${alert.scope} ${alert.name}`,
    detail: `${sentenceOf(alert)}. To see what it was: iron-cage budget get --org`,
  }))
}

async function quarantinedLeases(sql: Sql, now: number): Promise<Cause[]> {
  const rows = await sql.rows<{ id: string; organization_id: string; name: string; left_nanos: Nanodollars }>(
    `SELECT leases.id, leases.organization_id, runtimes.name, granted_nanos - used_nanos - returned_nanos AS left_nanos
     FROM leases JOIN runtimes ON runtimes.id = runtime_id WHERE state = 'quarantined'`,
  )
  return rows.map(({ id, organization_id, name, left_nanos: left }) => ({
    ...{ organization_id, kind: 'lease.quarantined', subject: id, level: 'CRIT', now },
    title: `Lease quarantined — ${name}`,
    detail: `${name} came back with another database, or lost power. ${showUsd(toUsd(left))} stay lent until somebody says what was spent. To resolve it: iron-cage runtimes resolve ${id} --spent <usd> --reason <text>`,
  }))
}

async function waitingRequests(sql: Sql, now: number): Promise<Cause[]> {
  const rows = await sql.rows<StoredRequest>("SELECT * FROM requests WHERE state = 'pending'")
  return rows.map(({ id, organization_id, scope, name, amount_nanos: amount, asked_by, reason }) => ({
    ...{ organization_id, kind: 'request.created', subject: id, level: 'WARN', now },
    title: `Approval needed — ${scope} ${name}`,
    detail: `${asked_by} asks for ${showUsd(toUsd(amount))} more: "${reason}". To decide: iron-cage requests approve ${id} --reason <text>`,
  }))
}

async function failedSignIns(sql: Sql, now: number): Promise<Cause[]> {
  const rows = await sql.rows<{ organization_id: string; count: number; since: number }>(
    'SELECT * FROM sign_in_failures WHERE count >= $1',
    [MANY_FAILURES],
  )
  return rows.map(({ organization_id, count, since }) => ({
    ...{ organization_id, kind: 'sign_in.failed', subject: String(since), level: 'WARN', now },
    title: 'Many failed sign-ins',
    detail: `${count} since ${isoTime(since)}. The audit on the page of the panel says how many they were in the end`,
  }))
}
