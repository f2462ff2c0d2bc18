/** A collector of OpenTelemetry: OTLP over HTTP, protobuf, gzip. */
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { Config } from '../config/schema.ts'
import type { Clock } from '../core/clock.ts'
import { type Network, openPool } from '../core/http-pools.ts'
import { encodeMetrics, encodeSpans, type Sender } from './encode.ts'
import type { Metric } from './metrics.ts'
import type { Span } from './span.ts'

export interface CollectorOptions {
  settings: Config['otel'] & { endpoint: string }
  network: Network
  version: string
  clock: Clock
  log: { info(text: string): void; warn(text: string): void }
}

const TIMEOUT_MS = 10_000
/** It will never take this message. */
const REFUSED = new Set([400, 413])
/** It does not take this signal: Phoenix takes no metrics. */
const NOT_TAKEN = new Set([404, 405, 501])

const compress = promisify(gzip)

export class Collector {
  readonly #options: CollectorOptions
  readonly #pool: ReturnType<typeof openPool>
  readonly #path: string
  readonly #sender: Sender
  /** In a row. A collector may take one signal and fail with the other. */
  readonly #failures = { traces: 0, metrics: 0 }
  /** False once it has refused metrics. */
  takesMetrics = true

  constructor(options: CollectorOptions) {
    const { settings, network, version } = options
    this.#options = options
    const { origin, pathname } = new URL(settings.endpoint)
    this.#path = pathname.replace(/\/$/, '')
    this.#pool = openPool(origin, network, { connections: 1, connectTimeoutMs: TIMEOUT_MS })
    this.#sender = { resource: { 'service.name': settings.service_name, 'service.version': version }, version }
  }

  /** Rejects when it cannot be reached, or not now; data that it refuses for good is lost. */
  async sendSpans(spans: readonly Span[], signal: AbortSignal): Promise<void> {
    if (spans.length > 0) await this.#post('traces', encodeSpans(this.#sender, spans), signal)
  }

  /** Likewise. Does nothing once it has refused metrics. */
  async sendMetrics(metrics: readonly Metric[], signal: AbortSignal): Promise<void> {
    if (this.takesMetrics) await this.#post('metrics', encodeMetrics(this.#sender, metrics), signal)
  }

  async close(): Promise<void> {
    await this.#pool.destroy()
  }

  async #post(kind: 'traces' | 'metrics', message: Uint8Array, signal: AbortSignal): Promise<void> {
    const { settings, clock, log } = this.#options
    const timeout = new AbortController()
    const timer = clock.after(TIMEOUT_MS, () => timeout.abort())
    try {
      const { statusCode, body } = await this.#pool.request({
        method: 'POST',
        path: `${this.#path}/v1/${kind}`,
        headers: {
          'content-type': 'application/x-protobuf',
          'content-encoding': 'gzip',
          'user-agent': `iron-cage/${this.#sender.version}`,
          ...settings.headers,
        },
        body: await compress(message),
        signal: AbortSignal.any([timeout.signal, signal]),
      })
      await body.dump({ limit: 65_536 })
      this.#judge(kind, statusCode)
      if (this.#failures[kind] > 0) log.info(`OpenTelemetry: ${settings.endpoint} works again for ${kind}`)
      this.#failures[kind] = 0
    } catch (error) {
      this.#failures[kind] += 1
      const { message: why } = timeout.signal.aborted
        ? new Error(`no answer within ${TIMEOUT_MS / 1000} s`)
        : (error as Error)
      if (this.#failures[kind] === 1 && !signal.aborted) {
        const hope = kind === 'traces' ? 'No trace is lost; trying again' : 'Trying again'
        log.warn(`OpenTelemetry: ${settings.endpoint} cannot be reached for ${kind}: ${why}. ${hope}`)
      }
      throw error
    } finally {
      timer.cancel()
    }
  }

  /** Throws for an answer after which the message is sent again. */
  #judge(kind: 'traces' | 'metrics', status: number): void {
    const { settings, log } = this.#options
    if (status >= 200 && status < 300) return
    if (kind === 'metrics' && NOT_TAKEN.has(status)) {
      this.takesMetrics = false
      return log.info(`OpenTelemetry: ${settings.endpoint} takes no metrics (${status}); traces are sent`)
    }
    if (!REFUSED.has(status)) throw new Error(`it answered ${status}`)
    log.warn(`OpenTelemetry: ${settings.endpoint} refused ${kind} (${status}), which are lost`)
  }
}
