/**
 * Alerts: events that a person should see, shown on the dashboard and sent by e-mail and webhook.
 *
 * The rules are:
 * - Alerts are raised by a listener of events, never by the code that records them: no call waits for an alert.
 * - An alert's rows (itself and one per channel) are written in the transaction of its event, so that raised alerts are
 *   sent, also after a crash (`outbox.ts`).
 * - One alert per cause: the ledger reports a threshold once per limit, a circuit alerts once per trip, a flood of findings
 *   becomes one digest (`alert-throttle.ts`).
 * - No alert holds the personal data or the secret it is about, nor its recipients: every viewer sees it.
 */

import type { Config } from '../config/schema.ts'
import { type Clock, isoTime } from '../core/clock.ts'
import { CageError } from '../core/errors.ts'
import type { Level, RuntimeEvent } from '../core/events.ts'
import type { AgentId } from '../core/ids.ts'
import { newAlertId } from '../core/ids.ts'
import type { Store } from '../db/store.ts'
import type { OutboxTable } from '../db/tables/outbox.ts'
import type { StateManager } from '../state/state-manager.ts'
import { AlertThrottle } from './alert-throttle.ts'
import type { Channel, RetryPolicy } from './channel.ts'
import { emailChannel } from './email.ts'
import { Outbox } from './outbox.ts'
import { webhookChannels } from './webhook.ts'
import { kindsOf, type Wording, wordAlert, wordDigest } from './wording.ts'

export interface AlertsOptions {
  store: Pick<Store, 'outbox'>
  state: StateManager
  clock: Clock
  config: Config['alerts']
  /** Receives faults that concern no single delivery. */
  onFault: (error: unknown, what: string) => void
  /** How often and how long deliveries are attempted. (Default: RETRY_POLICY.) */
  retryPolicy?: RetryPolicy
}

export class Alerts {
  readonly #state: StateManager
  readonly #clock: Clock
  readonly #table: OutboxTable
  readonly #outbox: Outbox
  readonly #throttle: AlertThrottle
  /** Trips of each circuit that were reported. */
  readonly #trips = new Map<string, number>()
  readonly #unsubscribe: () => void

  /** Starts listening, and resumes deliveries that an earlier server left. */
  constructor({ store, state, clock, config, onFault, retryPolicy }: AlertsOptions) {
    this.#state = state
    this.#clock = clock
    this.#table = store.outbox
    this.#throttle = new AlertThrottle(clock, (digest) =>
      this.#raise(wordDigest(digest), 'CRIT', digest.last.agent_id, digest.last.seq),
    )
    for (const { name, trips } of Object.values(state.read().circuits)) this.#trips.set(name, trips)
    this.#unsubscribe = state.subscribe((event) => this.#watch(event))
    const channels: Channel[] = [
      ...(config.email ? [emailChannel(config.email, kindsOf(config.email.events))] : []),
      ...webhookChannels(config.webhooks, clock, kindsOf),
    ]
    this.#outbox = new Outbox({ table: this.#table, state, clock, channels, onFault, retryPolicy })
  }

  /** Acknowledges an alert; idempotent. Throws CageError `not_found`. */
  acknowledge(alertId: string, by: string): void {
    const alert = this.#find(alertId)
    if (alert.acknowledged_at) return
    this.#state.record(
      {
        type: 'alert.acknowledged',
        level: 'INFO',
        agent_id: alert.agent_id,
        message: `Alert "${alert.title}" acknowledged by ${by}`,
        data: { alert_id: alertId, by },
      },
      () => this.#table.acknowledge(alertId, isoTime(this.#clock.now()), by),
    )
  }

  /** Where alerts are sent. */
  get channels(): string[] {
    return this.#outbox.channels
  }

  /** Sends a test alert to every channel; returns its id and the channels. */
  test(by: string): { alertId: string; channels: string[] } {
    const message = `${by} tests the alerts`
    this.#state.record({ type: 'alert.tested', level: 'INFO', message, data: { by } })
    const { id } = this.#state.read().alerts.find(({ kind }) => kind === 'test')!
    return { alertId: id, channels: this.#outbox.channels }
  }

  /** Retries the failed deliveries of an alert; returns how many. Throws CageError `not_found`. */
  resend(alertId: string): number {
    return this.#outbox.resend(this.#find(alertId).id)
  }

  /** Raises the open digests and gives due deliveries two seconds; the rest stays stored. */
  async close(): Promise<void> {
    this.#throttle.close()
    this.#unsubscribe()
    await this.#outbox.close()
  }

  #watch(event: RuntimeEvent): void {
    if (event.type === 'alert.raised') this.#outbox.send(event.data.alert_id)
    if (event.type === 'circuit.opened' && (event.data.by !== undefined || !this.#isNewTrip(event.data.circuit))) return
    if (event.type === 'pii.found' && this.#throttle.takes(event)) return
    const wording = wordAlert(event)
    if (wording) this.#raise(wording, event.level, event.agent_id, event.seq)
  }

  #raise(
    { kind, title, detail: what, action, budget, circuit, request }: Wording,
    level: Level,
    agentId: AgentId | null,
    sourceSeq: number,
  ): void {
    const detail = action === undefined ? what : `${what} ${action}`
    const alert = {
      id: newAlertId(),
      at: isoTime(this.#clock.now()),
      agent_id: agentId,
      kind,
      level,
      title,
      detail,
      source_seq: sourceSeq,
    }
    this.#state.record(
      {
        type: 'alert.raised',
        level,
        agent_id: agentId,
        message: `${title}: ${detail}`,
        data: {
          alert_id: alert.id,
          kind,
          title,
          detail,
          ...(budget && { budget }),
          ...(circuit !== undefined && { circuit }),
          ...(request && { request }),
          source_seq: sourceSeq,
        },
      },
      () => this.#outbox.insert(alert),
    )
  }

  /** A failed probe opens a circuit again without being another trip; the shared state knows the difference. */
  #isNewTrip(circuit: string): boolean {
    const trips = this.#state.read().circuits[circuit]?.trips ?? 0
    const isNew = trips > (this.#trips.get(circuit) ?? 0)
    this.#trips.set(circuit, trips)
    return isNew
  }

  #find(alertId: string) {
    const alert = this.#table.find(alertId)
    if (alert) return alert
    throw new CageError('not_found', `there is no alert ${alertId}`, {
      facts: { alert_id: alertId },
      hint: 'list the alerts with GET /api/alerts',
    })
  }
}
