/**
 * Sends the gauges of every organization to a collector of OpenTelemetry, once a minute.
 *
 * The rules are:
 * - Each minute one process of the panel sends: whichever takes it first. What that one could not send is not sent
 *   later: a gauge shows the current value.
 * - Each organization has a separate message and resource.
 */
import type { Clock } from '../../core/clock.ts'
import { RepeatingTask } from '../../core/repeating-task.ts'
import type { Collector } from '../../otel/collector.ts'
import type { PanelDatabase } from '../db/database.ts'
import { type GaugeParts, readGauges } from './fleet-gauges.ts'

export interface FleetMeterOptions {
  parts: GaugeParts
  database: PanelDatabase
  collector: Collector
  clock: Clock
}

const INTERVAL_MS = 60_000
/** How often a process looks whether a minute is over. */
const POLL_INTERVAL_MS = 5_000
const SENT_AT = 'otel.metrics_at'

export class FleetMeter {
  readonly #options: FleetMeterOptions
  readonly #task: RepeatingTask
  readonly #abort = new AbortController()

  constructor(options: FleetMeterOptions) {
    this.#options = options
    this.#task = new RepeatingTask(options.clock, () => this.#send())
  }

  async close(): Promise<void> {
    this.#abort.abort()
    await this.#task.stop()
  }

  /** Rejects when the collector or the database cannot be used now. */
  async #send(): Promise<number | undefined> {
    const { parts, collector } = this.#options
    if (await this.#takeMinute()) {
      for (const organizationId of await parts.fleet.organizations()) {
        const { organization, gauges } = await readGauges(parts, organizationId)
        const resource = { 'service.instance.id': organizationId, 'iron_cage.organization': organization }
        await collector.sendMetrics([{ resource, metrics: gauges }], this.#abort.signal)
        if (!collector.takesMetrics) return undefined
      }
    }
    return POLL_INTERVAL_MS
  }

  /** Returns whether no process has sent within the last minute, by the database's clock, even if that was set back. */
  async #takeMinute(): Promise<boolean> {
    const { system, dialect } = this.#options.database
    const taken = await system.rows(
      `INSERT INTO panel_meta (key, value) VALUES ('${SENT_AT}', CAST(${dialect.now} AS TEXT))
       ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE CAST(panel_meta.value AS BIGINT)
         NOT BETWEEN CAST(excluded.value AS BIGINT) - ${INTERVAL_MS - 1} AND CAST(excluded.value AS BIGINT)
       RETURNING key`,
    )
    return taken.length > 0
  }
}
