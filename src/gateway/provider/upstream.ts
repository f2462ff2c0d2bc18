/**
 * Sends calls to providers. One connection pool each, three timeouts (connect, first byte, idle), no redirects, no
 * compression, and an abort that reaches the socket. A provider's key is sent to that provider's address only.
 */

import type { IncomingHttpHeaders } from 'node:http'
import type { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { isBeforeSending } from '../../breaker/retry.ts'
import type { Config, ProviderConfig } from '../../config/schema.ts'
import type { Clock } from '../../core/clock.ts'
import { CageError } from '../../core/errors.ts'
import { type Network, openPool } from '../../core/http-pools.ts'
import { dialectOf, knownProvider } from '../../dialects/known-providers.ts'
import { LARGE_BYTES, piecesOf } from '../bodies/bytes.ts'
import { signerOf } from '../signing/signer-of.ts'
import type { AnswerBody, Source } from './answer-body.ts'
import { ClientGone } from './client.ts'
import { type BodyReceiver, openBody } from './decoded-body.ts'
import { Places } from './places.ts'
import type { Provider } from './provider.ts'

export interface Answer {
  status: number
  headers: IncomingHttpHeaders
  body: AnswerBody
}

/** One attempt at a request; `body` undefined for a request without one. */
export interface ProviderAttempt {
  provider: Provider
  /** The agent that uses the connection. */
  agentId: string
  method: 'GET' | 'POST' | 'DELETE'
  /** Below the base URL, with query. */
  path: string
  headers: Record<string, string>
  body: string | Buffer | undefined
  signal: AbortSignal
  /** Called when connected: from then on the provider may receive the request. */
  onSending?: () => void
}

/** Connections to one provider, shared by all agents. */
const MAX_CONNECTIONS = 512
/** Calls that wait for a connection: each holds its request in memory. */
const MAX_WAITING = 2_048

interface ProviderConnections {
  pool: Dispatcher
  places: Places
  origin: string
  /** Without a slash at its end. */
  basePath: string
}

export class Upstream {
  readonly #providers: ReadonlyMap<string, Provider>
  readonly #connections = new Map<string, ProviderConnections>()
  readonly #network: Network
  readonly #clock: Clock

  constructor(configured: Config['providers'], network: Network, clock: Clock) {
    this.#network = network
    this.#clock = clock
    this.#providers = new Map(
      Object.entries(configured).map(([name, settings]: [string, ProviderConfig]) => {
        const dialect = dialectOf(name, settings.dialect)
        // The configuration requires an address of every provider without a known one.
        const baseUrl = new URL(settings.base_url ?? knownProvider(name)!.baseUrl!)
        const isOfficial = isVendorsHost(baseUrl, dialect.name)
        const learned = { onlyLimits: new Map(), withoutUsage: new Set<string>() }
        const signer = signerOf(dialect, { name, baseUrl, clock, network })
        return [name, { name, dialect, settings, baseUrl, isOfficial, signer, ...learned }]
      }),
    )
  }

  /** The base URL of each provider, by name. */
  get urls(): Record<string, string> {
    return Object.fromEntries([...this.#providers].map(([name, { baseUrl }]) => [name, baseUrl.href]))
  }

  find(name: string): Provider | undefined {
    return this.#providers.get(name)
  }

  /**
   * Throws CageError `provider_unreachable`, `provider_timeout` or `too_many_streams`, and ClientGone when the client
   * left.
   */
  async send({ provider, agentId, method, path, headers, body, signal, onSending }: ProviderAttempt): Promise<Answer> {
    const { settings } = provider
    const { pool, places, origin, basePath } = this.#connectionsTo(provider)
    const release = await places.take(agentId, signal)
    if (!release) throw tooManyWaiting(provider.name, agentId)
    onSending?.()
    const options = {
      origin,
      path: basePath + path,
      method,
      ...asSent(headers, body),
      headersTimeout: settings.first_byte_timeout_s * 1000,
      bodyTimeout: settings.idle_timeout_s * 1000,
    }
    return new Promise((resolve, reject) => {
      const clock = this.#clock
      let source: Source | undefined
      let receiver: BodyReceiver | undefined
      const leave = () => source?.abort(signal.reason)
      signal.addEventListener('abort', leave)
      pool.dispatch(options, {
        onRequestStart(controller) {
          source = controller
          if (signal.aborted) leave()
        },
        onResponseStart(controller, status, answerHeaders) {
          // Informational statuses only precede the final one.
          if (status < 200) return
          const opened = openBody(answerHeaders, controller, clock)
          receiver = opened.receiver
          resolve({ status, headers: opened.headers, body: opened.body })
        },
        onResponseData: (_controller, chunk) => receiver?.push(chunk),
        onResponseEnd() {
          release()
          signal.removeEventListener('abort', leave)
          receiver?.end()
        },
        onResponseError(_controller, error) {
          release()
          signal.removeEventListener('abort', leave)
          reject(asUpstreamError(error, provider.name))
          receiver?.end(error)
        },
      })
    })
  }

  async close(): Promise<void> {
    await Promise.all([...this.#connections.values()].map(({ pool }) => pool.destroy()))
  }

  #connectionsTo({ name, baseUrl, settings }: Provider): ProviderConnections {
    const known = this.#connections.get(name)
    if (known) return known
    const connectTimeoutMs = settings.connect_timeout_s * 1000
    const pool = openPool(baseUrl.origin, this.#network, { connections: MAX_CONNECTIONS, connectTimeoutMs })
    const places = new Places(MAX_CONNECTIONS, MAX_WAITING)
    const connections = { pool, places, origin: baseUrl.origin, basePath: baseUrl.pathname.replace(/\/$/, '') }
    this.#connections.set(name, connections)
    return connections
  }
}

/** A dialect has the name of the provider that it is the API of. */
const isVendorsHost = ({ protocol, host }: URL, dialect: string): boolean =>
  protocol === 'https:' && knownProvider(dialect)?.vendorHosts?.test(host) === true

const tooManyWaiting = (provider: string, agentId: string): CageError =>
  new CageError('too_many_streams', `${agentId} has reached its share of calls waiting for ${provider}`, {
    facts: { agent_id: agentId, provider, max: MAX_WAITING, sent: false },
    hint: 'make fewer calls in parallel',
    retryAfterS: 1,
  })

/** A large body is sent in pieces, so that it can be freed as soon as the call ends. */
function asSent(headers: Record<string, string>, body: string | Buffer | undefined) {
  if (typeof body === 'string' || body === undefined || body.length < LARGE_BYTES)
    return { headers, body: body ?? null }
  // undici accepts any iterable; its types name only streams.
  const pieces = piecesOf(body) as unknown as Readable
  return { headers: { ...headers, 'content-length': String(body.length) }, body: pieces }
}

/** Translates a connection error. */
export function asUpstreamError(error: unknown, provider: string): Error {
  if (error instanceof CageError || error instanceof ClientGone) return error
  const code = String((error as { code?: unknown }).code ?? (error as { name?: unknown }).name ?? '')
  const facts = { provider, fault: code, sent: !isBeforeSending(code) }
  const refused = /^Proxy response \((\d+)\)/.exec((error as Error).message)
  if (refused) {
    const message = `the proxy refused a connection to ${provider} (${refused[1]})`
    return new CageError('provider_unreachable', message, { facts: { ...facts, sent: false }, cause: error })
  }
  const what = TIMEOUTS[code]
  if (what) return new CageError('provider_timeout', `${provider} ${what}`, { facts, cause: error })
  return new CageError('provider_unreachable', `the connection to ${provider} failed (${code || 'unknown error'})`, {
    facts,
    cause: error,
  })
}

const TIMEOUTS: Record<string, string> = {
  UND_ERR_CONNECT_TIMEOUT: 'did not accept a connection in time',
  UND_ERR_HEADERS_TIMEOUT: 'did not answer in time',
  UND_ERR_BODY_TIMEOUT: 'stopped sending in the middle of its answer',
}
