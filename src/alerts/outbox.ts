/**
 * The outbox delivers each alert to each of its channels, from stored rows.
 *
 * The rules are:
 * - A row is written with the alert and stays `pending` until the other side has taken it (`delivered`) or the attempts
 *   are used up (`failed`: the dead letter, which `resend` tries again).
 * - Nothing waits for a delivery. Four run at a time, one per channel, so that a hanging channel delays only itself.
 * - At least once: a server that is killed between the delivery and its row sends it again, under the same id.
 */
import { type Clock, isoTime, type Timer } from '../core/clock.ts'
import type { NewEvent } from '../core/events.ts'
import { showLatency } from '../core/units.ts'
import { isStorageFault } from '../db/storage-fault.ts'
import type { AlertRow, DeliveryRow, OutboxTable } from '../db/tables/outbox.ts'
import type { StateManager } from '../state/state-manager.ts'
import {
  attemptDelivery,
  type Channel,
  RETRY_POLICY,
  type RetryPolicy,
  type SentAlert,
  waitMsAfter,
} from './channel.ts'

const MAX_CONCURRENT = 4

export interface OutboxOptions {
  table: OutboxTable
  state: StateManager
  clock: Clock
  channels: readonly Channel[]
  onFault: (error: unknown, what: string) => void
  retryPolicy?: RetryPolicy
}

interface Delivery {
  alert: AlertRow
  channel: Channel
  attempts: number
  /** Monotonic, in ms. */
  raisedAt: number
  dueAt: number
}

export class Outbox {
  readonly #table: OutboxTable
  readonly #state: StateManager
  readonly #clock: Clock
  readonly #channels: readonly Channel[]
  readonly #onFault: OutboxOptions['onFault']
  readonly #retryPolicy: RetryPolicy
  readonly #waiting = new Set<Delivery>()
  readonly #running = new Map<Channel, Promise<void>>()
  readonly #abort = new AbortController()
  #closing = false
  #timer: Timer | undefined

  /** Resumes pending deliveries of an earlier server. */
  constructor({ table, state, clock, channels, onFault, retryPolicy = RETRY_POLICY }: OutboxOptions) {
    this.#table = table
    this.#state = state
    this.#clock = clock
    this.#channels = channels
    this.#onFault = onFault
    this.#retryPolicy = retryPolicy
    this.#takeUp(table.findDeliveries('pending'))
  }

  /** Names of the channels. */
  get channels(): string[] {
    return this.#channels.map(({ name }) => name)
  }

  /** Inserts the rows of an alert, in the transaction of its event. */
  insert(alert: Omit<AlertRow, 'acknowledged_at' | 'acknowledged_by'>): void {
    const channels = this.#channels.filter(({ kinds }) => kinds.includes(alert.kind))
    this.#table.insert(
      alert,
      channels.map(({ name }) => name),
    )
  }

  /** Starts the deliveries of an alert whose rows are committed. */
  send(alertId: string): void {
    this.#takeUp(this.#table.findDeliveries('pending', alertId))
  }

  /** Retries the failed deliveries of an alert; returns how many. */
  resend(alertId: string): number {
    const failed = this.#table.findDeliveries('failed', alertId)
    this.#table.reopen(alertId)
    this.#takeUp(failed.map((row) => ({ ...row, attempts: 0 })))
    return failed.length
  }

  /** Gives due deliveries a short time to end; the others stay pending for the next server. */
  async close(): Promise<void> {
    this.#closing = true
    this.#timer?.cancel()
    const deadline = this.#clock.after(this.#retryPolicy.closeMs, () => this.#abort.abort())
    while (this.#running.size > 0) await Promise.race(this.#running.values())
    deadline.cancel()
  }

  #takeUp(rows: readonly DeliveryRow[]): void {
    const now = this.#clock.monotonic()
    for (const { alert, channel: name, attempts } of rows) {
      const channel = this.#channels.find((each) => each.name === name)
      const ageMs = Math.max(0, this.#clock.now() - Date.parse(alert.at))
      if (channel) this.#waiting.add({ alert, channel, attempts, raisedAt: now - ageMs, dueAt: now })
      else this.#giveUp(alert, name, attempts, 'the channel is not configured any more')
    }
    this.#startDue()
  }

  #startDue(): void {
    if (this.#abort.signal.aborted) return
    const now = this.#clock.monotonic()
    let nextAt = Number.POSITIVE_INFINITY
    for (const delivery of this.#waiting) {
      if (delivery.dueAt > now) nextAt = Math.min(nextAt, delivery.dueAt)
      // Due deliveries without a free slot are considered again when one ends.
      else if (this.#running.size < MAX_CONCURRENT && !this.#running.has(delivery.channel)) this.#start(delivery)
    }
    this.#timer?.cancel()
    if (nextAt === Number.POSITIVE_INFINITY || this.#closing) return
    this.#timer = this.#clock.after(Math.ceil(nextAt - now), () => this.#startDue()).unref()
  }

  #start(delivery: Delivery): void {
    this.#waiting.delete(delivery)
    const running = this.#attempt(delivery)
      .catch((error: unknown) => this.#onFault(error, `cannot deliver alert ${delivery.alert.id}`))
      .finally(() => {
        this.#running.delete(delivery.channel)
        this.#startDue()
      })
    this.#running.set(delivery.channel, running)
  }

  async #attempt(delivery: Delivery): Promise<void> {
    const { alert, channel } = delivery
    const failure = await attemptDelivery(channel, this.#sent(alert), {
      clock: this.#clock,
      attemptMs: this.#retryPolicy.attemptMs,
      signal: this.#abort.signal,
    })
    if (!failure) return this.#finish(delivery)
    // An attempt that `close` aborted does not count.
    if (this.#abort.signal.aborted) return
    const attempts = delivery.attempts + 1
    const { why, isFinal } = failure
    if (isFinal || attempts >= this.#retryPolicy.attempts) {
      this.#giveUp(alert, channel.name, attempts, why)
    } else {
      this.#tryLater({ ...delivery, attempts }, why)
    }
  }

  #sent(alert: AlertRow): SentAlert {
    const agent = alert.agent_id ? this.#state.findAgent(alert.agent_id) : undefined
    return { ...alert, agent_name: agent?.name ?? null }
  }

  #finish({ alert, channel, attempts, raisedAt }: Delivery): void {
    const latencyMs = Math.round(this.#clock.monotonic() - raisedAt)
    this.#record(
      {
        type: 'alert.delivered',
        level: 'INFO',
        agent_id: alert.agent_id,
        message: `Alert "${alert.title}" sent by ${channel.name} (${showLatency(latencyMs)})`,
        data: { alert_id: alert.id, channel: channel.name, latency_ms: latencyMs },
      },
      { state: 'delivered', attempts: attempts + 1, error: null },
    )
  }

  #giveUp({ id, agent_id, title }: AlertRow, channel: string, attempts: number, error: string): void {
    this.#record(
      {
        type: 'alert.failed',
        level: 'ERROR',
        agent_id,
        message: `Alert "${title}" not sent by ${channel}, given up after ${attempts} attempt${attempts === 1 ? '' : 's'}: ${error}`,
        data: { alert_id: id, channel, error },
      },
      { state: 'failed', attempts, error },
    )
  }

  #record(
    event: Extract<NewEvent, { type: 'alert.delivered' | 'alert.failed' }>,
    end: { state: 'delivered' | 'failed'; attempts: number; error: string | null },
  ): void {
    const { alert_id, channel } = event.data
    const ended_at = isoTime(this.#clock.now())
    this.#state.record(event, () => this.#table.end(alert_id, channel, { ...end, ended_at }))
  }

  #tryLater(delivery: Delivery, why: string): void {
    const { alert, channel, attempts } = delivery
    const waitMs = waitMsAfter(attempts, this.#retryPolicy)
    this.#waiting.add({ ...delivery, dueAt: this.#clock.monotonic() + waitMs })
    try {
      this.#table.noteAttempt(alert.id, channel.name, attempts, why)
    } catch (error) {
      if (!isStorageFault(error)) throw error
      this.#onFault(error, 'cannot note a failed delivery; it is tried again all the same')
    }
  }
}
