/**
 * Sends on what programs of a machine trace and measure themselves, which came with the machine's token.
 *
 * The rules are:
 * - Nothing is stored: a message is answered once the collector has it, and what cannot be sent now is refused so that the
 *   sender repeats it, as clients of OTLP do.
 * - The token alone decides whose it is: nothing of a message can name another machine or organization.
 * - A machine has its share of the room, and no money waits for any of this.
 */

import { CageError } from '../../core/errors.ts'
import type { ReceivedPoint, ReceivedSpan } from '../../core/events.ts'
import { RunRate } from '../../http/run-rate.ts'
import { Collector, type CollectorOptions } from '../../otel/collector.ts'
import { MEASURED_ATTRIBUTES } from '../../otel/decode-metrics.ts'
import { metricsOf } from '../../otel/measured.ts'
import type { Attributes } from '../../otel/span.ts'
import { ownAttributes, receivedSpan } from '../../otel/tracer.ts'
import { DEFAULT_POLICY } from '../../redaction/policy.ts'
import { Redactor } from '../../redaction/redactor.ts'
import type { Member } from '../access/credentials.ts'
import type { PanelDatabase } from '../db/database.ts'
import { resourceOf } from './machine-resource.ts'

export interface OtlpForwarderOptions extends Pick<CollectorOptions, 'settings' | 'network' | 'version' | 'clock'> {
  database: PanelDatabase
  onNotice: (text: string) => void
}

type Machine = Pick<Member, 'id' | 'name' | 'organizationId'>

/** Messages that are being read or sent: of all machines, and of one. Each may have 4 MiB. */
const MAX_MESSAGES = 16
const MAX_OF_ONE = 2
const CONNECTIONS = 4
const RETRY_AFTER_S = 1
/** Of a machine's rate of reports: four messages a second, after eight at once. */
const REPORTS_OF_A_MESSAGE = 50

export class OtlpForwarder {
  readonly #database: PanelDatabase
  readonly #collector: Collector
  readonly #redactor = new Redactor(DEFAULT_POLICY)
  readonly #rate: RunRate
  readonly #abort = new AbortController()
  /** Messages by machine. */
  readonly #running = new Map<string, number>()

  constructor(options: OtlpForwarderOptions) {
    const { database, onNotice, clock } = options
    this.#rate = new RunRate(clock)
    this.#database = database
    this.#collector = new Collector({ ...options, connections: CONNECTIONS, log: { info: onNotice, warn: onNotice } })
  }

  async close(): Promise<void> {
    this.#abort.abort()
    await this.#collector.close()
  }

  /** Runs `work` for one message. Throws CageError `too_many_attempts` while there is no room for it, or if they come too fast. */
  async inTurn<T>({ id }: Machine, work: () => Promise<T>): Promise<T> {
    const [all, own] = [[...this.#running.values()].reduce((sum, count) => sum + count, 0), this.#running.get(id) ?? 0]
    if (all >= MAX_MESSAGES || own >= MAX_OF_ONE) {
      throw new CageError('too_many_attempts', 'the panel is sending as many messages of OpenTelemetry as it can', {
        retryAfterS: RETRY_AFTER_S,
      })
    }
    this.#running.set(id, own + 1)
    try {
      await this.#rate.enter(id, REPORTS_OF_A_MESSAGE)
      return await work()
    } finally {
      const left = this.#running.get(id)! - 1
      if (left > 0) this.#running.set(id, left)
      else this.#running.delete(id)
    }
  }

  /** Throws CageError `collector_unreachable`. */
  async sendSpans(machine: Machine, received: readonly ReceivedSpan[]): Promise<void> {
    const resource = await this.#resourceOf(machine)
    const spans = received.map((span) => receivedSpan({ ...span, name: this.#safe(span.name) }, {}))
    const safe = spans.map((span) => ({ ...span, attributes: this.#safeAttributes(span.attributes) }))
    await this.#sent(this.#collector.sendSpans([{ resource, spans: safe }], this.#abort.signal))
  }

  /** Throws CageError `not_found` or `collector_unreachable`. */
  async sendPoints(machine: Machine, received: readonly ReceivedPoint[]): Promise<void> {
    const resource = await this.#resourceOf(machine)
    const points = received.map(({ attributes, ...point }) => ({
      ...point,
      name: this.#safe(point.name),
      unit: this.#safe(point.unit),
      attributes: this.#safeAttributes(ownAttributes(attributes, MEASURED_ATTRIBUTES)),
    }))
    await this.#sent(this.#collector.sendMetrics([{ resource, metrics: metricsOf(points) }], this.#abort.signal))
    if (this.#collector.takesMetrics) return
    throw new CageError('not_found', "the panel's collector of OpenTelemetry takes no metrics", {
      hint: 'send traces alone, or choose another collector',
    })
  }

  async #resourceOf({ id, name, organizationId }: Machine): Promise<Attributes> {
    const [organization] = await this.#database.within(organizationId, (sql) =>
      sql.rows<{ name: string }>('SELECT name FROM organizations WHERE id = $1', [organizationId]),
    )
    return resourceOf({ runtime_id: id, name, organization: organization!.name })
  }

  async #sent(sending: Promise<void>): Promise<void> {
    await sending.catch((cause: unknown) => {
      throw new CageError('collector_unreachable', "the panel's collector of OpenTelemetry cannot be used now", {
        cause,
        retryAfterS: RETRY_AFTER_S,
      })
    })
  }

  /** Anybody may have typed anything, and it leaves the panel. */
  #safe(text: string): string {
    return this.#redactor.redact(text).text
  }

  #safeAttributes(attributes: Attributes): Attributes {
    return Object.fromEntries(
      Object.entries(attributes).map(([key, value]) => [key, typeof value === 'string' ? this.#safe(value) : value]),
    )
  }
}
