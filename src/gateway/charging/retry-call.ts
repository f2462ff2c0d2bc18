/**
 * Retries a call whose attempt was lost: it may have reached the provider, and no byte of a response arrived. Each
 * retry is a separate call, priced, held and charged separately, since the provider may charge each of them.
 */

import { retry } from '../../breaker/retry.ts'
import type { Clock } from '../../core/clock.ts'
import { CageError } from '../../core/errors.ts'
import { newCallId } from '../../core/ids.ts'
import type { LlmCall } from '../call.ts'
import type { ClientConnection } from '../provider/client.ts'
import { type Failure, failureOf, retriedEvent } from './call-events.ts'
import type { Meter } from './priced-call.ts'

/** The attempt ended without a response and was charged; another one may be made. `cause`: why. */
export class LostAttempt extends Error {
  override readonly name = 'LostAttempt'
}

/** The provider refused the limit that we added and named its maximum. Nothing was charged. */
export class LimitRefused extends Error {
  override readonly name = 'LimitRefused'
  readonly outputLimit: number
  constructor(outputLimit: number, options: ErrorOptions) {
    super(`the provider allows ${outputLimit} tokens of output`, options)
    this.outputLimit = outputLimit
  }
}

/** The provider refused a field that we added and accepts the call without it. Nothing was charged. */
export class FieldRefused extends Error {
  override readonly name = 'FieldRefused'
}

/** Returns true if the attempt ended without a response and its outcome is unknown. */
export const isLost = (error: unknown): boolean =>
  error instanceof CageError && LOST.has(error.code) && error.facts.sent === true

const LOST: ReadonlySet<string> = new Set(['provider_timeout', 'provider_unreachable'])

/** The errors that an attempt may throw instead of answering the client. */
export interface AllowedRetries {
  /** A LostAttempt: another attempt can be made. */
  hasAttempt: boolean
  /** A LimitRefused: the call can be made with another limit. */
  hasLimit: boolean
  /** A FieldRefused: the call can be made without a field. */
  hasField: boolean
}

/** Records, in the end, that several calls were made for the request. Throws what `calls` throws. */
export async function recordRetried(
  { state, clock }: Pick<Meter, 'state' | 'clock'>,
  call: LlmCall,
  client: Pick<ClientConnection, 'status'>,
  calls: () => Promise<void>,
): Promise<void> {
  const startedAt = clock.monotonic()
  const record = (status: number, failure?: Pick<Failure, 'code' | 'message'>): void => {
    const latencyMs = Math.round(clock.monotonic() - startedAt)
    const { firstId } = call.trace
    if (firstId !== undefined) state.record(retriedEvent(call, firstId, { latencyMs, status, failure }))
  }
  try {
    await calls()
  } catch (error) {
    const failure = failureOf(error)
    record(failure.status, failure)
    throw error
  }
  const { status } = client
  const isRefused = status >= 400
  record(status, isRefused ? { code: 'provider_refused', message: `it was answered ${status}` } : undefined)
}

/** Attempts the call; retries a LostAttempt with backoff, and a LimitRefused or FieldRefused once, with the change. */
export async function withFurtherAttempts(
  call: LlmCall,
  clock: Clock,
  signal: AbortSignal,
  attempt: (call: LlmCall, allowed: AllowedRetries) => Promise<void>,
): Promise<void> {
  const { retries } = call.provider.settings
  let [attempts, hasField] = [0, true]
  let next = call
  const once = async (): Promise<void> => {
    const allowed = { hasAttempt: attempts++ < retries, hasLimit: next.outputLimit === undefined, hasField }
    try {
      await attempt(next, allowed)
    } catch (error) {
      next = { ...next, id: newCallId() }
      if (error instanceof LimitRefused) next = { ...next, outputLimit: error.outputLimit }
      else if (error instanceof FieldRefused) hasField = false
      else throw error
      await once()
    }
  }
  await retry(once, { retries, clock, signal, isRetryable: (error) => error instanceof LostAttempt })
}
