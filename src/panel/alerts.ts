/**
 * Alerts of a Control Panel, by e-mail to the admins of the organization and by webhook.
 *
 * The rules are:
 * - An alert follows from what is stored: no request waits for one, and whichever process looks finds the same. Its id
 *   follows from what it is about, so that it is raised once, however many processes look however often.
 * - One process of the panel raises and sends at a time. At least once: one that is killed between a delivery and its row
 *   leaves it to be sent again, under the same id.
 * - Where alerts go is in the file of whoever runs the panel. No organization can make the panel reach an address.
 */
import { createHash } from 'node:crypto'
import {
  attemptDelivery,
  type Channel,
  type Failure,
  RETRY_POLICY,
  type RetryPolicy,
  waitMsAfter,
} from '../alerts/channel.ts'
import { emailChannel } from '../alerts/email.ts'
import { webhookChannels } from '../alerts/webhook.ts'
import { type Clock, isoTime } from '../clock.ts'
import { PANEL_ALERTS, type PanelAlertsConfig } from '../config/schema.ts'
import type { Level } from '../events.ts'
import { RepeatingTask } from '../repeating-task.ts'
import { findCauses, type PanelAlertKind } from './alert-causes.ts'
import type { PanelDatabase, Sql } from './db/database.ts'
import { insert } from './db/insert.ts'

export interface PanelAlertsOptions {
  database: PanelDatabase
  clock: Clock
  config: PanelAlertsConfig
  /** Such as a delivery that was given up. */
  onNotice: (text: string) => void
  /** (Default: RETRY_POLICY.) */
  retryPolicy?: RetryPolicy | undefined
}

interface StoredDelivery {
  alert_id: string
  channel: string
  organization_id: string
  kind: PanelAlertKind
  level: Level
  title: string
  detail: string
  raised_at: number
  attempts: number
  organization: string
}

const LOOK_INTERVAL_MS = 5_000
/** Deliveries under way at once. */
const MAX_CONCURRENT = 20
const MAIL = 'e-mail'

export class PanelAlerts {
  readonly #options: PanelAlertsOptions
  readonly #retryPolicy: RetryPolicy
  readonly #webhooks: readonly Channel<PanelAlertKind>[]
  readonly #task: RepeatingTask
  readonly #abort = new AbortController()

  constructor(options: PanelAlertsOptions) {
    const { config, clock, database, retryPolicy = RETRY_POLICY } = options
    this.#options = options
    this.#retryPolicy = retryPolicy
    this.#webhooks = webhookChannels(config.webhooks, clock, kindsOf)
    this.#task = new RepeatingTask(clock, async () => {
      await database.exclusively('alert', (sql) => this.#raise(sql))
      const isMore = await database.exclusively('alert', (sql) => this.#deliver(sql))
      return isMore ? 0 : Math.min(LOOK_INTERVAL_MS, retryPolicy.backoffMs)
    })
  }

  /** What is left is sent by another process, or the next one. */
  async close(): Promise<void> {
    this.#abort.abort()
    await this.#task.stop()
  }

  async #raise(sql: Sql): Promise<void> {
    const { database, config } = this.#options
    const causes = await findCauses(sql, database.dialect)
    const mailed = config.email ? kindsOf(config.email.events) : []
    const recipients = await this.#recipients(sql)
    const rows = causes.flatMap(({ organization_id, kind, subject, level, title, detail, now }) => {
      const channels = this.#webhooks.filter(({ kinds }) => kinds.includes(kind)).map(({ name }) => name)
      if (mailed.includes(kind) && recipients.has(organization_id)) channels.push(MAIL)
      const alert_id = `alert-${createHash('sha256').update(`${organization_id} ${kind} ${subject}`).digest('hex').slice(0, 24)}`
      const alert = { alert_id, organization_id, kind, level, title, detail, raised_at: now, due_at: now }
      return channels.map((channel) => ({ ...alert, channel, state: 'pending', attempts: 0 }))
    })
    await insert(sql, 'alert_deliveries', rows, () => ' ON CONFLICT (alert_id, channel) DO NOTHING')
  }

  /** The addresses of admins by organization. */
  async #recipients(sql: Sql): Promise<Map<string, string[]>> {
    const rows = await sql.rows<{ organization_id: string; email: string }>(
      "SELECT organization_id, email FROM users WHERE role = 'admin' AND email IS NOT NULL ORDER BY email",
    )
    const byOrganization = Map.groupBy(rows, ({ organization_id }) => organization_id)
    return new Map([...byOrganization].map(([id, people]) => [id, people.map(({ email }) => email)]))
  }

  /** Returns whether more may be due. */
  async #deliver(sql: Sql): Promise<boolean> {
    const { now } = this.#options.database.dialect
    const due = await sql.rows<StoredDelivery>(
      `SELECT alert_deliveries.*, organizations.name AS organization
       FROM alert_deliveries JOIN organizations ON organizations.id = organization_id
       WHERE state = 'pending' AND due_at <= ${now} ORDER BY due_at, alert_id LIMIT ${MAX_CONCURRENT}`,
    )
    if (due.length === 0) return false
    const recipients = await this.#recipients(sql)
    const failures = await Promise.all(
      due.map((delivery) => this.#attempt(delivery, recipients.get(delivery.organization_id) ?? [])),
    )
    // What was interrupted is sent again.
    this.#abort.signal.throwIfAborted()
    for (const [at, delivery] of due.entries()) await this.#note(sql, delivery, failures[at])
    return due.length === MAX_CONCURRENT
  }

  async #attempt(delivery: StoredDelivery, to: readonly string[]): Promise<Failure | undefined> {
    const { clock, config } = this.#options
    const { alert_id: id, kind, level, title, detail, organization } = delivery
    const channel =
      delivery.channel === MAIL
        ? config.email && to.length > 0 && emailChannel({ ...config.email, to }, PANEL_ALERTS)
        : this.#webhooks.find(({ name }) => name === delivery.channel)
    if (!channel) return { why: 'nobody receives it any more', isFinal: true }
    const alert = { id, kind, level, title, detail, organization, agent_id: null, agent_name: null }
    return attemptDelivery(
      channel,
      { ...alert, at: isoTime(delivery.raised_at) },
      { clock, attemptMs: this.#retryPolicy.attemptMs, signal: this.#abort.signal },
    )
  }

  async #note(sql: Sql, delivery: StoredDelivery, failure: Failure | undefined): Promise<void> {
    const { database, onNotice } = this.#options
    const { alert_id, channel, title, organization } = delivery
    const attempts = delivery.attempts + 1
    const isOver = failure && (failure.isFinal || attempts >= this.#retryPolicy.attempts)
    const state = failure ? (isOver ? 'failed' : 'pending') : 'delivered'
    const waitMs = failure && !isOver ? waitMsAfter(attempts, this.#retryPolicy) : 0
    await sql.rows(
      `UPDATE alert_deliveries SET state = $3, attempts = $4, due_at = ${database.dialect.now} + ${waitMs}
       WHERE alert_id = $1 AND channel = $2`,
      [alert_id, channel, state, attempts],
    )
    if (isOver) onNotice(`alert "${title}" of ${organization} not sent by ${channel}, given up: ${failure.why}`)
  }
}

/** The kinds that a place with these `events` receives. (Default: all.) */
const kindsOf = (events: readonly PanelAlertKind[] | undefined): readonly PanelAlertKind[] => events ?? PANEL_ALERTS
