/**
 * Getting an answer out of a provider: the circuits, the attempts, the key. What counts for the circuits is decided here
 * and nowhere else on the road of a call: faults of the connection, timeouts, broken answers and most 5xx count against
 * the provider, "overloaded" against its model; a 4xx of the caller's own making and a client that left do not. A rate
 * limit counts against nobody: it is waited for (`breaker/rate-limits.ts`).
 */

import { type Circuits, type Permit, settingsOf } from '../breaker/circuits.ts'
import type { Place, RateLimits } from '../breaker/rate-limits.ts'
import { parseRetryAfter, retry } from '../breaker/retry.ts'
import type { Clock } from '../clock.ts'
import { CageError } from '../errors.ts'
import type { Safety } from '../redaction/safety.ts'
import type { Scrub } from '../state/clean.ts'
import { ClientGone } from './client.ts'
import type { MeteredCall } from './metered-call.ts'
import type { Provider } from './provider.ts'
import type { KeyRequest, Keyring } from './provider-key.ts'
import { readAll } from './reply.ts'
import type { Answer, Attempt, Upstream } from './upstream.ts'

/** A good answer whose end is still open: report it to the permit. */
export interface SentCall extends Answer {
  permit: CallPermit
}

/** The provider answered with an error, which the client gets as it is. It cost nothing. */
export class ProviderRefusal extends Error {
  override readonly name = 'ProviderRefusal'
  readonly status: number
  readonly headers: Answer['headers']
  readonly body: Buffer
  /** When to come again, in ms from now, as far as the provider said so. */
  readonly retryAfterMs: number | undefined
  /** The same where the model's calls wait for it; undefined when it is no rate limit, or longer than any call waits. */
  readonly waitMs: number | undefined

  constructor({ status, headers }: Answer, body: Buffer, { maxWaitMs, nowMs }: { maxWaitMs: number; nowMs: number }) {
    super(`the provider answered ${status}`)
    this.status = status
    this.headers = headers
    this.body = body
    this.retryAfterMs = parseRetryAfter(headers, nowMs)
    const isWait = this.retryAfterMs && this.retryAfterMs <= maxWaitMs && RATE_LIMITED.has(status)
    this.waitMs = isWait ? this.retryAfterMs : undefined
  }

  /** The provider's fault, or its wish to be left alone; not the caller's own mistake. */
  get isRetryable(): boolean {
    return this.status === 429 || this.status >= 500
  }
}

/** Where another model can be asked, so long is waited for this one, in ms. */
const SHORT_WAIT_MS = 2_000

/** Sends calls to their providers, for as long as and as often as that is right. */
export class Sender {
  readonly #keyring: Keyring
  readonly #upstream: Upstream
  readonly #circuits: Circuits
  readonly #rateLimits: RateLimits
  readonly #clock: Clock
  readonly #scrub: Scrub

  constructor({ keyring, upstream, circuits, rateLimits, clock, safety }: SenderOptions) {
    this.#keyring = keyring
    this.#upstream = upstream
    this.#circuits = circuits
    this.#rateLimits = rateLimits
    this.#clock = clock
    this.#scrub = safety.scrub
  }

  /**
   * Sends the call, again where that is harmless. `hasNext`: another model can be asked instead. Throws ProviderRefusal,
   * CircuitOpenError, CageError `provider_*` or `rate_limited`, ClientGone.
   */
  send(open: MeteredCall, signal: AbortSignal, hasNext: boolean): Promise<SentCall> {
    const { provider, model, caller } = open.call
    const maxWaitMs = provider.settings.rate_limit_wait_s * 1000
    const name = `${provider.name}/${model} ${this.#keyring.choose(open.call).value}`
    const place = this.#rateLimits.place(name, caller.agentId, hasNext ? Math.min(SHORT_WAIT_MS, maxWaitMs) : maxWaitMs)
    return retry(() => this.#attemptInTurn(open, place, signal), {
      retries: provider.settings.retries,
      clock: this.#clock,
      signal,
      // What may have reached the provider may be charged by it: that is another call (`retry-call.ts`).
      isRetryable: (error) =>
        error instanceof ProviderRefusal ? error.isRetryable && error.waitMs === undefined : wasNotSent(error),
      retryAfterMs: askedToWaitMs,
    })
  }

  /** One attempt, and another whenever the provider has said when to come again, for as long as a call may wait. */
  async #attemptInTurn(open: MeteredCall, place: Place, signal: AbortSignal): Promise<SentCall> {
    for (let refusal: unknown; ; ) {
      try {
        await place.wait(signal)
      } catch (error) {
        // Its own words rather than ours.
        throw signal.aborted ? error : (refusal ?? error)
      }
      try {
        return await this.#attempt(open, signal)
      } catch (error) {
        if (!(error instanceof ProviderRefusal) || error.waitMs === undefined || !place.pause(error.waitMs)) throw error
        refusal = error
      } finally {
        open.waitedMs = place.waitedMs
      }
    }
  }

  async #attempt(open: MeteredCall, signal: AbortSignal): Promise<SentCall> {
    const { provider, path, headers } = open.call
    const permit = enterCircuits(this.#circuits, provider, this.#scrub(open.call.model))
    try {
      const onSending = () => {
        open.wasSent = true
      }
      const answer = await this.forward(open.call, {
        method: 'POST',
        path,
        headers,
        body: open.body,
        signal,
        onSending,
      })
      if (answer.status < 300) return { ...answer, permit }
      // Whatever else it is, it is no answer, and costs nothing.
      open.wasSent = false
      if (answer.status < 400) throw redirected(answer, provider)
      // A refusal whose text breaks off has refused all the same.
      const words = await readAll(answer.body, provider.name).catch(() => Buffer.alloc(0))
      const maxWaitMs = provider.settings.rate_limit_wait_s * 1000
      throw new ProviderRefusal(answer, words, { maxWaitMs, nowMs: this.#clock.now() })
    } catch (error) {
      if (wasNotSent(error)) open.wasSent = false
      report(permit, error)
      throw error
    }
  }

  /** One request with the right key, whatever comes back. Throws as `Keyring.send` and `Upstream.send`. */
  forward(request: KeyRequest, attempt: Omit<Attempt, 'provider' | 'agentId'>): Promise<Answer> {
    const { provider, caller } = request
    const to = { ...attempt, provider, agentId: caller.agentId }
    return this.#keyring.send(request, (key) => this.#upstream.send({ ...to, headers: { ...attempt.headers, ...key } }))
  }
}

export interface SenderOptions {
  keyring: Keyring
  upstream: Upstream
  circuits: Circuits
  rateLimits: RateLimits
  clock: Clock
  /** Takes personal data out of the names of models. */
  safety: Pick<Safety, 'scrub'>
}

/** Not followed, since the key would go along; and not passed on, since the client would follow it with its own. */
function redirected({ status, body }: Answer, { name }: Provider): CageError {
  body.cancel()
  return new CageError(
    'provider_reply_invalid',
    `${name} answered with a redirect (${status}), which is not followed`,
    {
      facts: { provider: name, status },
    },
  )
}

/** Reports to the circuits how a call failed. */
export function report(permit: CallPermit, error: unknown): void {
  const asked = askedToWaitMs(error)
  const { message } = error as Error
  if (error instanceof ProviderRefusal && (error.status === 429 || error.waitMs !== undefined)) permit.ignored()
  else if (error instanceof ProviderRefusal && OF_MODEL.has(error.status)) permit.modelFailed(message, asked)
  else if (error instanceof ProviderRefusal ? error.isRetryable : isConnectionFault(error)) {
    permit.failed(message, asked)
  } else permit.ignored()
}

/** With Retry-After it is a wait. */
const RATE_LIMITED = new Set([429, 503, 529])
/** Overloaded: providers count and answer these by model. */
const OF_MODEL = new Set([503, 529])

const isConnectionFault = (error: unknown): boolean =>
  error instanceof CageError && error.code.startsWith('provider_') && !(error instanceof ClientGone)

const wasNotSent = (error: unknown): boolean => error instanceof CageError && error.facts.sent === false

const askedToWaitMs = (error: unknown): number | undefined =>
  error instanceof ProviderRefusal ? error.retryAfterMs : undefined

/** The right to make one attempt, of the provider's circuit and of that of its model. */
export interface CallPermit extends Permit {
  /** The provider is there; it is this model that cannot answer. */
  modelFailed(reason: string, retryAfterMs?: number): void
}

/** Throws CircuitOpenError when either is open. */
function enterCircuits(circuits: Circuits, { name, settings }: Provider, model: string): CallPermit {
  const rules = settingsOf(settings.breaker, settings.first_byte_timeout_s * 1000, null)
  const ofModel = circuits.enter(`${name}/${model}`, rules)
  const ofProvider = enterAfter(ofModel, () => circuits.enter(name, rules))
  return {
    succeeded() {
      ofModel.succeeded()
      ofProvider.succeeded()
    },
    failed(reason, retryAfterMs) {
      ofModel.ignored()
      ofProvider.failed(reason, retryAfterMs)
    },
    modelFailed(reason, retryAfterMs) {
      ofModel.failed(reason, retryAfterMs)
      ofProvider.ignored()
    },
    ignored() {
      ofModel.ignored()
      ofProvider.ignored()
    },
  }
}

/** A permit that is not used is given back: it may be the one probe. */
function enterAfter(first: Permit, enter: () => Permit): Permit {
  try {
    return enter()
  } catch (error) {
    first.ignored()
    throw error
  }
}
