/**
 * Getting an answer out of a provider: the circuit, the attempts, the key. What counts for the circuit is decided here
 * and nowhere else on the road of a call: faults of the connection, timeouts, 5xx and 429 do; a 4xx of the caller's own
 * making and a client that left do not.
 */
import { BREAKER_DEFAULTS } from '../breaker/breaker.ts'
import type { CircuitSettings, Circuits, Permit } from '../breaker/circuits.ts'
import { parseRetryAfter, retry } from '../breaker/retry.ts'
import { CageError } from '../errors.ts'
import { ClientGone } from './client.ts'
import type { OpenCall } from './open-call.ts'
import type { Provider } from './providers/provider.ts'
import { readAll } from './reply.ts'
import type { Answer, Upstream } from './upstream.ts'

export interface SendParts {
  circuits: Circuits
  upstream: Upstream
}

/** A good answer whose end is still open: report it to the permit. */
export interface SentCall extends Answer {
  permit: Permit
}

/** The provider answered with an error, which the client gets as it is. It cost nothing. */
export class ProviderRefusal extends Error {
  override readonly name = 'ProviderRefusal'
  readonly status: number
  readonly headers: Answer['headers']
  readonly body: Buffer

  constructor({ status, headers }: Answer, body: Buffer) {
    super(`the provider answered ${status}`)
    this.status = status
    this.headers = headers
    this.body = body
  }

  /** The provider's fault, or its wish to be left alone; not the caller's own mistake. */
  get isRetryable(): boolean {
    return this.status === 429 || this.status >= 500
  }
}

/** Sends the call, again where that is harmless. Throws ProviderRefusal, CircuitOpenError, CageError `provider_*`, ClientGone. */
export function send(parts: SendParts, open: OpenCall, signal: AbortSignal): Promise<SentCall> {
  return retry(() => attempt(parts, open, signal), {
    retries: open.call.provider.settings.retries,
    signal,
    // What may have reached the provider may be charged by it: not twice.
    isRetryable: (error) => (error instanceof ProviderRefusal ? error.isRetryable : wasNotSent(error)),
    retryAfterMs: askedToWaitMs,
  })
}

async function attempt({ circuits, upstream }: SendParts, open: OpenCall, signal: AbortSignal): Promise<SentCall> {
  const { provider, path, headers } = open.call
  const permit = circuits.enter(provider.name, circuitOf(provider))
  try {
    open.wasSent = true
    const answer = await upstream.send({ provider, method: 'POST', path, headers, body: open.body, signal })
    if (answer.status < 300) return { ...answer, permit }
    // Whatever else it is, it is no answer, and costs nothing.
    open.wasSent = false
    if (answer.status < 400) throw redirected(answer, provider)
    // A refusal whose text breaks off has refused all the same.
    throw new ProviderRefusal(answer, await readAll(answer.body, provider.name).catch(() => Buffer.alloc(0)))
  } catch (error) {
    if (wasNotSent(error)) open.wasSent = false
    report(permit, error)
    throw error
  }
}

/** Not followed, since the key would go along; and not passed on, since the client would follow it with its own. */
function redirected({ status, body }: Answer, { name }: Provider): CageError {
  body.on('error', () => undefined).destroy()
  return new CageError(
    'provider_reply_invalid',
    `${name} answered with a redirect (${status}), which is not followed`,
    {
      facts: { provider: name, status },
    },
  )
}

/** Tells the circuit how a call failed. */
export function report(permit: Permit, error: unknown): void {
  const isProvidersFault = error instanceof ProviderRefusal ? error.isRetryable : isConnectionFault(error)
  if (isProvidersFault) permit.failed((error as Error).message, askedToWaitMs(error))
  else permit.ignored()
}

const isConnectionFault = (error: unknown): boolean =>
  error instanceof CageError && error.code.startsWith('provider_') && !(error instanceof ClientGone)

const wasNotSent = (error: unknown): boolean => error instanceof CageError && error.facts.sent === false

const askedToWaitMs = (error: unknown): number | undefined => {
  const header = error instanceof ProviderRefusal ? error.headers['retry-after'] : undefined
  return parseRetryAfter(header, Date.now())
}

const circuitOf = ({ settings }: Provider): CircuitSettings => ({
  failures: BREAKER_DEFAULTS.failures,
  cooldownMs: BREAKER_DEFAULTS.cooldownMs,
  probeMs: settings.first_byte_timeout_s * 1000,
  fallbackTier: null,
})
