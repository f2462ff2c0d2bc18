/**
 * Sends alerts from stored rows, one for each place.
 *
 * The rules are:
 * - A process of the panel takes a delivery by moving the time at which it is due, while no other one takes any: so each is
 *   sent by one process, and no transaction waits for a receiver. One that is killed leaves its own to the others.
 * - At least once: a process that is killed between a delivery and its row has it sent again, under the same id.
 * - A place gets one at a time, and few go to the places that one organization has named: a receiver that never answers
 *   delays only its own alerts.
 */
import {
  attemptDelivery,
  type Channel,
  type Failure,
  RETRY_POLICY,
  type RetryPolicy,
  Undeliverable,
  waitMsAfter,
} from '../../alerts/channel.ts'
import { emailChannel } from '../../alerts/email.ts'
import { webhookChannels } from '../../alerts/webhook.ts'
import { PANEL_ALERTS, type PanelAlertsConfig } from '../../config/schema.ts'
import { type Clock, isoTime } from '../../core/clock.ts'
import type { Level } from '../../core/events.ts'
import type { PanelDatabase, Sql } from '../db/database.ts'
import type { PanelAlertKind } from '../fleet-view.ts'
import type { SentKind } from './alert-causes.ts'
import type { AlertWebhooks, StoredAlertWebhook } from './alert-webhooks.ts'

export interface AlertSenderOptions {
  database: PanelDatabase
  clock: Clock
  config: PanelAlertsConfig
  webhooks: AlertWebhooks
  /** Such as a delivery that was given up. */
  onNotice: (text: string) => void
  /** (Default: RETRY_POLICY.) */
  retryPolicy?: RetryPolicy | undefined
}

export interface StoredDelivery {
  alert_id: string
  /** MAIL, the name of a webhook of the panel's file, or the id of one of the organization. */
  channel: string
  organization_id: string
  kind: SentKind
  level: Level
  title: string
  detail: string
  raised_at: number
  state: 'pending' | 'delivered' | 'failed'
  attempts: number
  /** Why the last attempt failed. */
  error: string | null
}

/** A delivery that this process sends, with its target. */
interface Taken extends StoredDelivery {
  organization: string
  /** The admins' addresses. */
  to: string[]
  /** The organization's own one. */
  webhook: StoredAlertWebhook | undefined
}

export const MAIL = 'e-mail'

/** Under way at once. */
const MAX_CONCURRENT = 50
/** Of them to the places that one organization has named. */
const MAX_CONCURRENT_OWN = 2
/** After the time for an attempt, until another process takes the delivery. */
const TAKEN_SLACK_MS = 20_000

export class AlertSender {
  readonly #options: AlertSenderOptions
  readonly #retryPolicy: RetryPolicy
  /** Of the panel's file. */
  readonly channels: readonly Channel<SentKind>[]
  /** Under way, by channel. `owner`: whose own place it is. */
  readonly #running = new Map<string, { owner: string | undefined; done: Promise<void> }>()
  readonly #abort = new AbortController()

  constructor(options: AlertSenderOptions) {
    const { config, clock, retryPolicy = RETRY_POLICY } = options
    this.#options = options
    this.#retryPolicy = retryPolicy
    this.channels = webhookChannels(config.webhooks, clock, kindsOf)
  }

  /** Starts due deliveries, as far as there is room. `onEnded`: called when there is room again. */
  async start(onEnded: () => void): Promise<void> {
    if (this.#running.size >= MAX_CONCURRENT) return
    const taken = await this.#options.database.exclusively('alert', (sql) => this.#take(sql))
    for (const delivery of taken ?? []) {
      const done = this.#send(delivery)
        // Its row marks it as under way, until another process takes it.
        .catch(() => undefined)
        .finally(() => {
          this.#running.delete(delivery.channel)
          onEnded()
        })
      this.#running.set(delivery.channel, { owner: delivery.webhook?.organization_id, done })
    }
  }

  /** Deliveries under way are left to another process, or the next one. */
  async close(): Promise<void> {
    this.#abort.abort()
    await Promise.all([...this.#running.values()].map(({ done }) => done))
  }

  /** The first delivery that is due of each place. */
  async #take(sql: Sql): Promise<Taken[]> {
    const { dialect } = this.#options.database
    const due = await sql.rows<StoredDelivery & { organization: string }>(
      `SELECT queue.*, organizations.name AS organization FROM (
         SELECT alert_deliveries.*, row_number() OVER (PARTITION BY channel ORDER BY due_at, alert_id) AS nth
         FROM alert_deliveries WHERE state = 'pending' AND due_at <= ${dialect.now}
       ) AS queue JOIN organizations ON organizations.id = organization_id
       WHERE nth = 1 ORDER BY due_at, alert_id`,
    )
    if (due.length === 0) return []
    const webhooks = await sql.rows<StoredAlertWebhook>(
      `SELECT * FROM alert_webhooks WHERE ${dialect.isIn('id', '$1')}`,
      [JSON.stringify(due.map(({ channel }) => channel))],
    )
    const taken: Taken[] = []
    const owners = [...this.#running.values()].map(({ owner }) => owner)
    for (const delivery of due) {
      if (this.#running.size + taken.length >= MAX_CONCURRENT) break
      const webhook = webhooks.find(({ id }) => id === delivery.channel)
      const owner = webhook?.organization_id
      const isFull = owner !== undefined && owners.filter((other) => other === owner).length >= MAX_CONCURRENT_OWN
      if (isFull || this.#running.has(delivery.channel)) continue
      owners.push(owner)
      await sql.rows(
        `UPDATE alert_deliveries SET due_at = ${dialect.now} + ${this.#retryPolicy.attemptMs + TAKEN_SLACK_MS}
         WHERE alert_id = $1 AND channel = $2`,
        [delivery.alert_id, delivery.channel],
      )
      const to = delivery.channel === MAIL ? await adminsOf(sql, delivery.organization_id) : []
      taken.push({ ...delivery, to, webhook })
    }
    return taken
  }

  async #send(delivery: Taken): Promise<void> {
    const { clock } = this.#options
    const { alert_id: id, kind, level, title, detail, organization } = delivery
    const alert = { id, kind, level, title, detail, organization, agent_id: null, agent_name: null }
    const failure = await attemptDelivery(
      { deliver: async (sent, signal) => this.#channelOf(delivery).deliver(sent, signal) },
      { ...alert, at: isoTime(delivery.raised_at) },
      { clock, attemptMs: this.#retryPolicy.attemptMs, signal: this.#abort.signal },
    )
    await this.#note(delivery, failure)
  }

  /** Throws Undeliverable when it has no receiver any more, or CageError when an address cannot be read. */
  #channelOf({ channel, to, webhook }: Taken): Pick<Channel<SentKind>, 'deliver'> {
    const { config, clock, webhooks } = this.#options
    if (webhook) return webhooks.channelOf(webhook, clock)
    if (channel === MAIL && config.email && to.length > 0) return emailChannel({ ...config.email, to }, [])
    const own = this.channels.find(({ name }) => name === channel)
    if (!own) throw new Undeliverable('nobody receives it any more')
    return own
  }

  async #note(delivery: Taken, failure: Failure | undefined): Promise<void> {
    const { database, onNotice } = this.#options
    const { alert_id, channel, title, organization, webhook } = delivery
    // An attempt that `close` has ended does not count.
    const isInterrupted = failure !== undefined && this.#abort.signal.aborted
    const attempts = delivery.attempts + (isInterrupted ? 0 : 1)
    const isOver = failure && !isInterrupted && (failure.isFinal || attempts >= this.#retryPolicy.attempts)
    const state = failure ? (isOver ? 'failed' : 'pending') : 'delivered'
    const waitMs = failure && !isOver && !isInterrupted ? waitMsAfter(attempts, this.#retryPolicy) : 0
    await database.system.rows(
      `UPDATE alert_deliveries SET state = $3, attempts = $4, error = $5, due_at = ${database.dialect.now} + ${waitMs}
       WHERE alert_id = $1 AND channel = $2`,
      [alert_id, channel, state, attempts, isInterrupted ? delivery.error : (failure?.why ?? null)],
    )
    const where = webhook ? `webhook ${webhook.host}` : channel
    if (isOver) onNotice(`alert "${title}" of ${organization} not sent by ${where}, given up: ${failure.why}`)
  }
}

/** The addresses of an organization's admins. */
export async function adminsOf(sql: Sql, organizationId: string): Promise<string[]> {
  const rows = await sql.rows<{ email: string }>(
    "SELECT email FROM users WHERE organization_id = $1 AND role = 'admin' AND email IS NOT NULL ORDER BY email",
    [organizationId],
  )
  return rows.map(({ email }) => email)
}

/** The kinds that a place with these `events` receives. (Default: all.) */
export const kindsOf = (events: readonly PanelAlertKind[] | undefined): readonly SentKind[] => [
  ...(events ?? PANEL_ALERTS),
  'test',
]
