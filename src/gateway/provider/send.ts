/**
 * Gets a response from a provider: circuits, attempts, key. What counts for the circuits is decided here alone:
 * connection errors, timeouts, broken responses and most 5xx count against the provider, "overloaded" against its
 * model; a 4xx that is the caller's mistake, a reply that is too large and a client that left do not. A rate limit counts against nothing: the
 * call waits (`breaker/rate-limits.ts`).
 */

import { type Circuits, type Permit, settingsOf } from '../../breaker/circuits.ts'
import type { Place, RateLimits } from '../../breaker/rate-limits.ts'
import { parseRetryAfter, retry } from '../../breaker/retry.ts'
import type { Clock } from '../../core/clock.ts'
import { CageError } from '../../core/errors.ts'
import type { Safety } from '../../redaction/safety.ts'
import type { Scrub } from '../../state/clean.ts'
import type { MeteredCall } from '../charging/metered-call.ts'
import { readError } from '../replies/reply.ts'
import { ClientGone } from './client.ts'
import type { Provider } from './provider.ts'
import type { KeyRequest, Keyring } from './provider-key.ts'
import type { Answer, ProviderAttempt, Upstream } from './upstream.ts'

/** A successful response that has not ended yet: report its end to the permit. */
export interface SentCall extends Answer {
  permit: CallPermit
}

/** The provider answered with an error, which is passed to the client unchanged. It cost nothing. */
export class ProviderRefusal extends Error {
  override readonly name = 'ProviderRefusal'
  readonly status: number
  readonly headers: Answer['headers']
  readonly body: Buffer
  /** When to retry, in ms from now, if the provider named it. */
  readonly retryAfterMs: number | undefined
  /** The same if the model's calls wait for it; undefined if it is not a rate limit, or exceeds the maximum wait. */
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

  /** The provider failed or asked for fewer calls; not the caller's mistake. */
  get isRetryable(): boolean {
    return this.status === 429 || this.status >= 500
  }
}

/** The provider ended a stream with an error. It counts as an answer with that status would. */
export class StreamRefusal extends ProviderRefusal {
  constructor({ headers, body }: Answer, status: number) {
    super({ status, headers, body }, Buffer.alloc(0), { maxWaitMs: 0, nowMs: 0 })
    this.message = `the provider ended its stream with an error, which is as an answer with ${status}`
  }
}

/** Maximum wait for a model when another one can be tried, in ms. */
const SHORT_WAIT_MS = 2_000

/** Sends calls to their providers, with retries and waits. */
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
   * Sends the call, and retries where that is harmless. `hasNext`: another model can be tried instead. Throws
   * ProviderRefusal, CircuitOpenError, CageError `provider_*` or `rate_limited`, ClientGone.
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
      // A request that may have reached the provider may be charged: its retry is a new call (`retry-call.ts`).
      isRetryable: (error) =>
        error instanceof ProviderRefusal ? error.isRetryable && error.waitMs === undefined : wasNotSent(error),
      retryAfterMs: retryAfterOf,
    })
  }

  /** Attempts the call, again after each wait that the provider requested, up to the maximum wait. */
  async #attemptInTurn(open: MeteredCall, place: Place, signal: AbortSignal): Promise<SentCall> {
    for (let refusal: unknown; ; ) {
      try {
        await place.wait(signal)
      } catch (error) {
        // The provider's own error rather than ours.
        throw signal.aborted ? error : (refusal ?? error)
      }
      try {
        return await open.attempts.time(() => this.#attempt(open, signal), refusalOf)
      } catch (error) {
        if (!(error instanceof ProviderRefusal) || error.waitMs === undefined || !place.pause(error.waitMs)) throw error
        refusal = error
      } finally {
        open.waitedMs = place.waitedMs()
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
      // Any other status is not an answer, and costs nothing.
      open.wasSent = false
      if (answer.status < 400) throw redirected(answer, provider)
      // A refusal counts even if its body breaks off.
      const errorBody = await readError(answer)
      const maxWaitMs = provider.settings.rate_limit_wait_s * 1000
      throw new ProviderRefusal(answer, errorBody, { maxWaitMs, nowMs: this.#clock.now() })
    } catch (error) {
      if (wasNotSent(error)) open.wasSent = false
      report(permit, error)
      throw error
    }
  }

  /** Sends one request with the right key and returns any response. Throws as `Keyring.send` and `Upstream.send`. */
  forward(request: KeyRequest, attempt: Omit<ProviderAttempt, 'provider' | 'agentId'>): Promise<Answer> {
    const { provider, caller } = request
    const to = { ...attempt, provider, agentId: caller.agentId }
    const secretOf = (name: string) => this.#keyring.secretOf(caller, name)
    return this.#keyring.send(request, async (headers, key) => {
      const authorized = provider.signer ? await provider.signer.authorize(attempt, key, secretOf) : headers
      return this.#upstream.send({ ...to, headers: { ...attempt.headers, ...authorized } })
    })
  }
}

export interface SenderOptions {
  keyring: Keyring
  upstream: Upstream
  circuits: Circuits
  rateLimits: RateLimits
  clock: Clock
  /** Redacts the names of models. */
  safety: Pick<Safety, 'scrub'>
}

const refusalOf = (error: unknown): ProviderRefusal | undefined =>
  error instanceof ProviderRefusal ? error : undefined

/** Redirects are not followed, since the key would be sent along, nor passed on, since the client would follow them. */
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
  const retryAfterMs = retryAfterOf(error)
  const { message } = error as Error
  if (error instanceof ProviderRefusal && (error.status === 429 || error.waitMs !== undefined)) permit.ignored()
  else if (error instanceof ProviderRefusal && OF_MODEL.has(error.status)) permit.modelFailed(message, retryAfterMs)
  else if (error instanceof ProviderRefusal ? error.isRetryable : isConnectionFault(error)) {
    permit.failed(message, retryAfterMs)
  } else permit.ignored()
}

/** With Retry-After these are rate limits. */
const RATE_LIMITED = new Set([429, 503, 529])
/** Overloaded: providers count these per model. */
const OF_MODEL = new Set([503, 529])

const isConnectionFault = (error: unknown): boolean =>
  error instanceof CageError && error.code.startsWith('provider_') && !(error instanceof ClientGone)

/** Returns whether the provider received nothing of the request. */
export const wasNotSent = (error: unknown): boolean => error instanceof CageError && error.facts.sent === false

const retryAfterOf = (error: unknown): number | undefined =>
  error instanceof ProviderRefusal ? error.retryAfterMs : undefined

/** Permission for one attempt, from the circuits of the provider and of its model. */
export interface CallPermit extends Permit {
  /** The provider is reachable, but this model cannot answer. */
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

/** Returns an unused permit: it may be the only probe. */
function enterAfter(first: Permit, enter: () => Permit): Permit {
  try {
    return enter()
  } catch (error) {
    first.ignored()
    throw error
  }
}
