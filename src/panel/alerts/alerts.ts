/**
 * Alerts of a Control Panel: by e-mail to the admins of the organization, by the operator's webhooks, and by those that
 * the organization's admins have named.
 *
 * The rules are:
 * - An alert follows from stored data: no request waits for one, and whichever process looks finds the same. Its id
 *   follows from its subject, so that it is raised once, however many processes look however often.
 * - Mail servers are named in the operator's file alone; `alert-webhooks.ts` has the targets of an organization, and
 *   `alert-sender.ts` the sending.
 */
import { createHash } from 'node:crypto'
import { RETRY_POLICY } from '../../alerts/channel.ts'
import { wordTest } from '../../alerts/wording.ts'
import { CageError } from '../../core/errors.ts'
import { RepeatingTask } from '../../core/repeating-task.ts'
import { type Member, newId } from '../access/credentials.ts'
import { appendAudit } from '../db/audit-store.ts'
import type { Sql } from '../db/database.ts'
import { insert } from '../db/insert.ts'
import { findCauses, type SentKind } from './alert-causes.ts'
import { AlertSender, type AlertSenderOptions, adminsOf, kindsOf, MAIL, type StoredDelivery } from './alert-sender.ts'
import { type AlertWebhooks, eventsOf, type StoredAlertWebhook } from './alert-webhooks.ts'

/** Somewhere that alerts of an organization go to. */
export interface AlertPlace {
  channel: string
  /** For people. */
  name: string
  kinds: readonly SentKind[]
}

const LOOK_INTERVAL_MS = 5_000
/** Rows of one statement. */
const MAX_ROWS = 500
/** Alerts that are listed. */
const MAX_LISTED = 200

export class PanelAlerts {
  readonly webhooks: AlertWebhooks
  readonly #options: AlertSenderOptions
  readonly #sender: AlertSender
  readonly #lookMs: number
  #task: RepeatingTask | undefined
  #lookedAt = Number.NEGATIVE_INFINITY

  constructor(options: AlertSenderOptions) {
    const { backoffMs } = options.retryPolicy ?? RETRY_POLICY
    this.#options = options
    this.webhooks = options.webhooks
    this.#sender = new AlertSender(options)
    this.#lookMs = Math.min(LOOK_INTERVAL_MS, backoffMs)
  }

  /** Begins to raise and to send. */
  start(): void {
    const { clock, database } = this.#options
    this.#task = new RepeatingTask(clock, async () => {
      if (clock.monotonic() - this.#lookedAt >= this.#lookMs) {
        this.#lookedAt = clock.monotonic()
        await database.exclusively('alert', (sql) => this.#raise(sql))
      }
      await this.#sender.start(() => this.#task?.wake(0))
      return this.#lookMs
    })
  }

  async close(): Promise<void> {
    await this.#task?.stop()
    await this.#sender.close()
  }

  /** Where alerts of an organization go. */
  places(organizationId: string): Promise<AlertPlace[]> {
    return this.#options.database.within(organizationId, (sql) => this.#places(sql, organizationId))
  }

  /** Newest first, with how far each is on its way. */
  list(organizationId: string): Promise<StoredDelivery[]> {
    return this.#options.database.within(organizationId, (sql) =>
      sql.rows<StoredDelivery>(
        `SELECT alert_deliveries.* FROM alert_deliveries JOIN (
           SELECT alert_id, max(raised_at) AS at FROM alert_deliveries WHERE organization_id = $1
           GROUP BY alert_id ORDER BY at DESC, alert_id LIMIT ${MAX_LISTED}
         ) AS listed ON listed.alert_id = alert_deliveries.alert_id
         WHERE organization_id = $1 ORDER BY at DESC, alert_deliveries.alert_id, channel`,
        [organizationId],
      ),
    )
  }

  /** Sends a test to every place of the organization. Throws CageError `conflict` while another one is under way, or without a place. */
  async test({
    organizationId,
    name: by,
  }: Pick<Member, 'organizationId' | 'name'>): Promise<{ id: string; places: AlertPlace[] }> {
    const { database } = this.#options
    const { now, forUpdate } = database.dialect
    const id = newId('alert')
    const places = await database.within(organizationId, async (sql) => {
      const [organization] = await sql.rows<{ now: number }>(
        `SELECT ${now} AS now FROM organizations WHERE id = $1 ${forUpdate}`,
        [organizationId],
      )
      const [running] = await sql.rows(
        "SELECT 1 FROM alert_deliveries WHERE organization_id = $1 AND kind = 'test' AND state = 'pending'",
        [organizationId],
      )
      if (running)
        throw new CageError('conflict', 'a test is under way', { hint: 'see with GET /api/alerts how far it is' })
      const found = await this.#places(sql, organizationId)
      if (found.length === 0) {
        throw new CageError('conflict', 'there is nowhere to send alerts yet', {
          hint: 'add a webhook, or have the operator of the panel name a mail server',
        })
      }
      const alert = { alert_id: id, organization_id: organizationId, kind: 'test', level: 'INFO', ...wordTest(by) }
      const rows = found.map(({ channel }) => ({ ...alert, ...newDelivery(organization!.now), channel }))
      await insert(sql, 'alert_deliveries', rows)
      const entry = { organizationId, actor: by, action: 'alert.test', target: id, details: { places: rows.length } }
      await appendAudit(sql, database.dialect, [entry])
      return found
    })
    this.#task?.wake(0)
    return { id, places }
  }

  /** Tries abandoned deliveries once more. Returns how many deliveries. Throws CageError `not_found`. */
  async resend({ organizationId, name: by }: Pick<Member, 'organizationId' | 'name'>, id: string): Promise<number> {
    const { database } = this.#options
    const resent = await database.within(organizationId, async (sql) => {
      const own = [organizationId, id]
      const [known] = await sql.rows('SELECT 1 FROM alert_deliveries WHERE organization_id = $1 AND alert_id = $2', own)
      if (!known)
        throw new CageError('not_found', `there is no alert ${id}`, { hint: 'list the alerts with GET /api/alerts' })
      const reopened = await sql.rows(
        `UPDATE alert_deliveries SET state = 'pending', attempts = 0, due_at = ${database.dialect.now}
         WHERE organization_id = $1 AND alert_id = $2 AND state = 'failed' RETURNING channel`,
        own,
      )
      const details = { deliveries: reopened.length }
      await appendAudit(sql, database.dialect, [
        { organizationId, actor: by, action: 'alert.resend', target: id, details },
      ])
      return reopened.length
    })
    this.#task?.wake(0)
    return resent
  }

  async #raise(sql: Sql): Promise<void> {
    const places = await this.#allPlaces(sql)
    if (places.size === 0) return
    const causes = await findCauses(sql, this.#options.database.dialect)
    const rows = causes.flatMap(({ organization_id, kind, subject, level, title, detail, now }) => {
      const alert_id = `alert-${createHash('sha256').update(`${organization_id} ${kind} ${subject}`).digest('hex').slice(0, 24)}`
      const alert = { alert_id, organization_id, kind, level, title, detail }
      return (places.get(organization_id) ?? [])
        .filter(({ kinds }) => kinds.includes(kind))
        .map(({ channel }) => ({ ...alert, ...newDelivery(now), channel }))
    })
    for (let at = 0; at < rows.length; at += MAX_ROWS) {
      const some = rows.slice(at, at + MAX_ROWS)
      await insert(sql, 'alert_deliveries', some, () => ' ON CONFLICT (alert_id, channel) DO NOTHING')
    }
  }

  async #places(sql: Sql, organizationId: string): Promise<AlertPlace[]> {
    const isMailed = (await adminsOf(sql, organizationId)).length > 0
    return this.#placesOf(await this.webhooks.find(sql, organizationId), isMailed)
  }

  /** By organization. */
  async #allPlaces(sql: Sql): Promise<Map<string, AlertPlace[]>> {
    const own = Map.groupBy(await sql.rows<StoredAlertWebhook>('SELECT * FROM alert_webhooks'), ownerOf)
    const mailed = await sql.rows<{ organization_id: string }>(
      "SELECT DISTINCT organization_id FROM users WHERE role = 'admin' AND email IS NOT NULL",
    )
    const areMailed = new Set(mailed.map(ownerOf))
    const all = await sql.rows<{ id: string }>('SELECT id FROM organizations')
    const found = all.map(({ id }) => [id, this.#placesOf(own.get(id) ?? [], areMailed.has(id))] as const)
    return new Map(found.filter(([, places]) => places.length > 0))
  }

  #placesOf(own: readonly StoredAlertWebhook[], isMailed: boolean): AlertPlace[] {
    const { email } = this.#options.config
    return [
      ...(email && isMailed ? [{ channel: MAIL, name: MAIL, kinds: kindsOf(email.events) }] : []),
      ...this.#sender.channels.map(({ name, kinds }) => ({ channel: name, name, kinds })),
      ...own.map((row) => ({ channel: row.id, name: nameOf(row), kinds: kindsOf(eventsOf(row)) })),
    ]
  }
}

const ownerOf = (row: { organization_id: string }): string => row.organization_id

/** The host alone: the path may be a secret. */
export const nameOf = ({ id, host }: StoredAlertWebhook): string => `webhook ${host} (${id})`

const newDelivery = (now: number) => ({ raised_at: now, due_at: now, state: 'pending', attempts: 0 })
