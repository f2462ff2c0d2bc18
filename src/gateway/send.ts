/**
 * Getting an answer out of a provider: the circuits, the attempts, the key. What counts for the circuits is decided here
 * and nowhere else on the road of a call: faults of the connection, timeouts, broken answers and most 5xx count against
 * the provider, 429 and "overloaded" against its model; a 4xx of the caller's own making and a client that left do not.
 */
import { type Circuits, type Permit, settingsOf } from '../breaker/circuits.ts'
import { parseRetryAfter, retry } from '../breaker/retry.ts'
import { CageError } from '../errors.ts'
import { ClientGone } from './client.ts'
import type { OpenCall } from './open-call.ts'
import type { Provider } from './provider.ts'
import { type KeyParts, sendWithKey } from './provider-key.ts'
import { readAll } from './reply.ts'
import type { Answer, Upstream } from './upstream.ts'

export interface SendParts extends KeyParts {
  circuits: Circuits
  upstream: Upstream
  /** Takes personal data out of the name of a model. */
  clean: (text: string) => string
}

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

async function attempt(parts: SendParts, open: OpenCall, signal: AbortSignal): Promise<SentCall> {
  const { circuits, upstream } = parts
  const { provider, path, headers } = open.call
  const permit = enterCircuits(circuits, provider, parts.clean(open.call.model))
  try {
    open.wasSent = true
    const request = { provider, method: 'POST', path, body: open.body, signal } as const
    const answer = await sendWithKey(parts, open.call, (key) =>
      upstream.send({ ...request, headers: { ...headers, ...key } }),
    )
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
  body.drop()
  return new CageError(
    'provider_reply_invalid',
    `${name} answered with a redirect (${status}), which is not followed`,
    {
      facts: { provider: name, status },
    },
  )
}

/** Tells the circuits how a call failed. */
export function report(permit: CallPermit, error: unknown): void {
  const asked = askedToWaitMs(error)
  const { message } = error as Error
  if (error instanceof ProviderRefusal && OF_MODEL.has(error.status)) permit.modelFailed(message, asked)
  else if (error instanceof ProviderRefusal ? error.isRetryable : isConnectionFault(error)) {
    permit.failed(message, asked)
  } else permit.ignored()
}

/** Too many requests, overloaded: providers count and answer these by model. */
const OF_MODEL = new Set([429, 503, 529])

const isConnectionFault = (error: unknown): boolean =>
  error instanceof CageError && error.code.startsWith('provider_') && !(error instanceof ClientGone)

const wasNotSent = (error: unknown): boolean => error instanceof CageError && error.facts.sent === false

const askedToWaitMs = (error: unknown): number | undefined => {
  const header = error instanceof ProviderRefusal ? error.headers['retry-after'] : undefined
  return parseRetryAfter(header, Date.now())
}

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
