/** A collector of OpenTelemetry: OTLP over HTTP, protobuf, gzip. */
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { Config } from '../config/schema.ts'
import type { Clock } from '../core/clock.ts'
import { type Network, openPool } from '../core/http-pools.ts'
import { encodeMetrics, encodeSpans, type Sender } from './encode.ts'
import type { Gauge, Metric } from './metrics.ts'
import type { Attributes, Span } from './span.ts'

export interface CollectorOptions {
  settings: Config['otel'] & { endpoint: string }
  network: Network
  version: string
  clock: Clock
  /** (Default: 1.) */
  connections?: number
  log: { info(text: string): void; warn(text: string): void }
}

/** Of one runtime. */
export interface Batch {
  /** The attributes that distinguish the runtime from others of this service. (Default: nothing.) */
  resource?: Attributes
  spans: readonly Span[]
  metrics: readonly (Metric | Gauge)[]
}

const TIMEOUT_MS = 10_000
/** It will never take this message. */
const REFUSED = new Set([400, 413])
/** After so many failures in a row, metrics are not sent again if traces are taken. */
const MAX_METRIC_FAILURES = 3
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
    const { settings, network, version, connections = 1 } = options
    this.#options = options
    const { origin, pathname } = new URL(settings.endpoint)
    this.#path = pathname.replace(/\/$/, '')
    this.#pool = openPool(origin, network, { connections, connectTimeoutMs: TIMEOUT_MS })
    this.#sender = { resource: { 'service.name': settings.service_name, 'service.version': version }, version }
  }

  /**
   * Spans, and agents' measurements. Rejects when both have to be sent again; a collector that fails with metrics alone
   * loses them.
   */
  async send(batches: readonly Batch[], signal: AbortSignal): Promise<void> {
    await this.sendSpans(batches, signal)
    try {
      await this.sendMetrics(batches, signal)
    } catch (error) {
      if (this.#failures.metrics < MAX_METRIC_FAILURES) throw error
      // Rejects if it is away.
      await this.#post('traces', new Uint8Array(), signal)
      this.#options.log.warn(`OpenTelemetry: ${this.#options.settings.endpoint} takes no metrics now; these are lost`)
    }
  }

  /** Rejects when it cannot be reached, or not now; data that it refuses for good is lost. */
  async sendSpans(batches: readonly Pick<Batch, 'resource' | 'spans'>[], signal: AbortSignal): Promise<void> {
    const messages = batches
      .filter(({ spans }) => spans.length > 0)
      .map(({ resource, spans }) => encodeSpans(this.#senderOf(resource), spans))
    // Messages of protobuf after each other are one message with the resources of all.
    if (messages.length > 0) await this.#post('traces', Buffer.concat(messages), signal)
  }

  /** Likewise. Does nothing once it has refused metrics. */
  async sendMetrics(batches: readonly Pick<Batch, 'resource' | 'metrics'>[], signal: AbortSignal): Promise<void> {
    if (!this.takesMetrics) return
    const messages = batches
      .filter(({ metrics }) => metrics.length > 0)
      .map(({ resource, metrics }) => encodeMetrics(this.#senderOf(resource), metrics))
    if (messages.length > 0) await this.#post('metrics', Buffer.concat(messages), signal)
  }

  #senderOf(resource: Attributes = {}): Sender {
    return { ...this.#sender, resource: { ...this.#sender.resource, ...resource } }
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
