/**
 * Sends traces and metrics of this runtime to a collector of OpenTelemetry. What could not be sent is sent later, also by
 * the next server, at least once. No prompt, reply, argument or line of output leaves this machine.
 */

import { showCount } from '../core/units.ts'
import type { MetaTable } from '../db/tables/meta.ts'
import { telemetryNameOf } from '../dialects/known-providers.ts'
import { Follower, type Page } from '../state/follower.ts'
import type { StateManager } from '../state/state-manager.ts'
import { Collector, type CollectorOptions } from './collector.ts'
import { Metrics } from './metrics.ts'
import { Tracer } from './tracer.ts'

export interface ExporterOptions extends CollectorOptions {
  state: StateManager
  meta: MetaTable
}

/** The last event whose spans were taken. */
const CURSOR = 'otel.cursor'
const METRICS_MS = 60_000
const CLOSE_MS = 2_000

export class Exporter {
  readonly #options: ExporterOptions
  readonly #collector: Collector
  readonly #tracer: Tracer
  readonly #metrics: Metrics
  readonly #follower: Follower
  #metricsAt: number

  /** Continues where the last server ended; a new one begins with what happens from now on. */
  constructor(options: ExporterOptions) {
    const { state, meta, clock } = options
    this.#options = options
    this.#collector = new Collector(options)
    this.#tracer = new Tracer({ findAgent: (id) => state.findAgent(id), providerName: telemetryNameOf })
    this.#metrics = new Metrics(clock.now())
    this.#metricsAt = clock.monotonic()
    const cursor = this.#keep(Number(meta.get(CURSOR) ?? state.read().seq))
    this.#follower = new Follower({
      state,
      clock,
      cursor,
      take: (page, signal) => this.#take(page, signal),
      onIdle: (isLast, signal) => this.#sendMetrics(isLast, signal),
    })
  }

  /** Sends the rest, for two seconds at most and not after a failure. */
  async close(): Promise<void> {
    await this.#follower.close(CLOSE_MS)
    await this.#collector.close()
  }

  /** Rejects when the collector cannot be reached, or not now. */
  async #take({ events, lost }: Page, signal: AbortSignal): Promise<number> {
    const { log } = this.#options
    if (lost)
      log.warn(`OpenTelemetry: ${showCount(lost.to - lost.from + 1)} events were deleted before they could be sent`)
    const spans = events.flatMap((event) => this.#tracer.spansOf(event))
    await this.#collector.sendSpans(spans, signal)
    for (const event of events) this.#metrics.note(event, telemetryNameOf)
    return this.#keep(events.at(-1)!.seq)
  }

  #keep(cursor: number): number {
    this.#options.meta.put(CURSOR, String(cursor))
    return cursor
  }

  /** Once a minute, and at the end. Returns when it is due next. */
  async #sendMetrics(isLast: boolean, signal: AbortSignal): Promise<number | undefined> {
    const { clock } = this.#options
    if (!this.#collector.takesMetrics || !this.#metrics.hasChanged) return undefined
    const waitMs = this.#metricsAt + METRICS_MS - clock.monotonic()
    if (!isLast && waitMs > 0) return waitMs
    this.#metricsAt = clock.monotonic()
    await this.#collector.sendMetrics(this.#metrics.read(clock.now()), signal)
    return undefined
  }
}
