/**
 * Sends traces and metrics to a collector of OpenTelemetry (OTLP over HTTP, protobuf, gzip).
 *
 * The rules are:
 * - The table of events is the buffer: what was sent is a number in the database, nothing is copied. What could not be
 *   sent is sent later, also by the next server, at least once. Events that were deleted before are reported as lost.
 * - Nothing waits for it: one request at a time, beside everything else. After failures the pauses grow to a minute.
 * - No prompt, reply, argument or line of output leaves this machine.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { Clock, Timer } from '../clock.ts'
import type { Config } from '../config/schema.ts'
import type { MetaTable } from '../db/meta.ts'
import { telemetryNameOf } from '../dialects/known-providers.ts'
import type { RuntimeEvent } from '../events.ts'
import { type Network, openPool } from '../http-pools.ts'
import type { StateManager } from '../state/state-manager.ts'
import { showCount } from '../units.ts'
import { encodeMetrics, encodeSpans, type Sender } from './encode.ts'
import { Metrics } from './metrics.ts'
import { Tracer } from './tracer.ts'

export interface ExporterOptions {
  settings: Config['otel'] & { endpoint: string }
  network: Network
  version: string
  state: StateManager
  meta: MetaTable
  clock: Clock
  log: { info(text: string): void; warn(text: string): void }
}

/** The last event whose spans were taken. */
const CURSOR = 'otel.cursor'
const PAGE = 500
/** New events wait for others. */
const GATHER_MS = 1_000
const METRICS_MS = 60_000
const TIMEOUT_MS = 10_000
const CLOSE_MS = 2_000
const MIN_PAUSE_MS = 1_000
const MAX_PAUSE_MS = 60_000
/** The collector will never take this message. */
const REFUSED = new Set([400, 413])
/** The collector does not take this signal: Phoenix takes no metrics. */
const NOT_TAKEN = new Set([404, 405, 501])

const compress = promisify(gzip)

export class Exporter {
  readonly #options: ExporterOptions
  readonly #pool: ReturnType<typeof openPool>
  readonly #path: string
  readonly #sender: Sender
  readonly #tracer: Tracer
  readonly #metrics: Metrics
  readonly #unsubscribe: () => void
  readonly #abort = new AbortController()
  #cursor: number
  #timer: Timer | undefined
  #dueAt = 0
  #running: Promise<void> = Promise.resolve()
  #isRunning = false
  #takesMetrics = true
  #metricsAt: number
  #failures = 0

  /** Continues where the last server ended; a new one begins with what happens from now on. */
  constructor(options: ExporterOptions) {
    const { settings, network, version, state, meta, clock } = options
    this.#options = options
    const { origin, pathname } = new URL(settings.endpoint)
    this.#path = pathname.replace(/\/$/, '')
    this.#pool = openPool(origin, network, { connections: 1, connectTimeoutMs: TIMEOUT_MS })
    this.#sender = { resource: { 'service.name': settings.service_name, 'service.version': version }, version }
    this.#tracer = new Tracer({ findAgent: (id) => state.findAgent(id), providerName: telemetryNameOf })
    this.#metrics = new Metrics(clock.now())
    this.#metricsAt = clock.monotonic()
    this.#cursor = Number(meta.get(CURSOR) ?? state.read().seq)
    this.#keepCursor()
    this.#unsubscribe = state.subscribe(() => {
      if (this.#failures === 0) this.#schedule(GATHER_MS)
    })
    this.#schedule(GATHER_MS)
  }

  /** Sends what is left, for two seconds at most and not after a failure. */
  async close(): Promise<void> {
    this.#unsubscribe()
    this.#timer?.cancel()
    const deadline = this.#options.clock.after(CLOSE_MS, () => this.#abort.abort())
    await this.#running
    if (this.#failures === 0) await this.#send(true).catch(() => undefined)
    deadline.cancel()
    await this.#pool.destroy()
  }

  /** At this time, or earlier if that is planned already. */
  #schedule(ms: number): void {
    const { clock } = this.#options
    const dueAt = clock.monotonic() + ms
    if (this.#isRunning || (this.#timer && this.#dueAt <= dueAt)) return
    this.#timer?.cancel()
    this.#dueAt = dueAt
    this.#timer = clock
      .after(ms, () => {
        this.#timer = undefined
        this.#running = this.#run()
      })
      .unref()
  }

  async #run(): Promise<void> {
    this.#isRunning = true
    try {
      await this.#send(false)
      this.#worked()
    } catch (error) {
      this.#failed(error as Error)
    }
    this.#isRunning = false
    if (this.#abort.signal.aborted) return
    if (this.#failures > 0) this.#schedule(Math.min(MAX_PAUSE_MS, MIN_PAUSE_MS * 2 ** (this.#failures - 1)))
    else if (this.#options.state.read().seq > this.#cursor) this.#schedule(GATHER_MS)
    else if (this.#metrics.hasChanged) this.#schedule(METRICS_MS)
  }

  /** Throws when the collector cannot be reached, or not now. */
  async #send(isLast: boolean): Promise<void> {
    for (let page = this.#nextPage(); page.length > 0; page = this.#nextPage()) {
      const spans = page.map((event) => this.#tracer.spanOf(event)).filter((span) => span !== undefined)
      if (spans.length > 0) await this.#post('traces', encodeSpans(this.#sender, spans))
      for (const event of page) this.#metrics.note(event, telemetryNameOf)
      this.#cursor = page.at(-1)!.seq
      this.#keepCursor()
      await nextTurn()
    }
    await this.#sendMetrics(isLast)
  }

  #keepCursor(): void {
    this.#options.meta.put(CURSOR, String(this.#cursor))
  }

  #nextPage(): RuntimeEvent[] {
    const { state, log } = this.#options
    const page = state.findEvents({ after: this.#cursor, limit: PAGE })
    const lost = page.length > 0 ? page[0]!.seq - this.#cursor - 1 : 0
    if (lost > 0) log.warn(`OpenTelemetry: ${showCount(lost)} events were deleted before they could be sent`)
    return page
  }

  async #sendMetrics(isLast: boolean): Promise<void> {
    const { clock } = this.#options
    const isDue = isLast || clock.monotonic() - this.#metricsAt >= METRICS_MS
    if (!this.#takesMetrics || !this.#metrics.hasChanged || !isDue) return
    this.#metricsAt = clock.monotonic()
    await this.#post('metrics', encodeMetrics(this.#sender, this.#metrics.read(clock.now())))
  }

  async #post(signal: 'traces' | 'metrics', message: Uint8Array): Promise<void> {
    const { settings, clock, log } = this.#options
    const timeout = new AbortController()
    const timer = clock.after(TIMEOUT_MS, () => timeout.abort())
    try {
      const { statusCode, body } = await this.#pool.request({
        method: 'POST',
        path: `${this.#path}/v1/${signal}`,
        headers: {
          'content-type': 'application/x-protobuf',
          'content-encoding': 'gzip',
          'user-agent': `iron-cage/${this.#sender.version}`,
          ...settings.headers,
        },
        body: await compress(message),
        signal: AbortSignal.any([timeout.signal, this.#abort.signal]),
      })
      await body.dump({ limit: 65_536 })
      if (statusCode >= 200 && statusCode < 300) return
      if (signal === 'metrics' && NOT_TAKEN.has(statusCode)) {
        this.#takesMetrics = false
        return log.info(`OpenTelemetry: ${settings.endpoint} takes no metrics (${statusCode}); traces are sent`)
      }
      if (!REFUSED.has(statusCode)) throw new Error(`it answered ${statusCode}`)
      log.warn(`OpenTelemetry: ${settings.endpoint} refused ${signal} (${statusCode}), which are lost`)
    } catch (error) {
      if (timeout.signal.aborted) throw new Error(`no answer within ${TIMEOUT_MS / 1000} s`, { cause: error })
      throw error
    } finally {
      timer.cancel()
    }
  }

  #worked(): void {
    if (this.#failures > 0) this.#options.log.info(`OpenTelemetry: ${this.#options.settings.endpoint} works again`)
    this.#failures = 0
  }

  #failed({ message }: Error): void {
    this.#failures += 1
    if (this.#failures > 1 || this.#abort.signal.aborted) return
    const { endpoint } = this.#options.settings
    this.#options.log.warn(`OpenTelemetry: ${endpoint} cannot be reached: ${message}. Nothing is lost; trying again`)
  }
}
