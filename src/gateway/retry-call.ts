/**
 * A call whose attempt was lost: it may have reached the provider, and no byte of an answer came back. Each further
 * attempt is a call of its own, priced, held and charged for itself, since the provider may charge each of them.
 */

import { retry } from '../breaker/retry.ts'
import type { Clock } from '../clock.ts'
import { CageError } from '../errors.ts'
import { newCallId } from '../ids.ts'
import type { LlmCall } from './call.ts'

/** The attempt has ended without an answer and was charged; another one may be made. `cause`: why. */
export class LostAttempt extends Error {
  override readonly name = 'LostAttempt'
}

/** The provider refused the limit that we had written, and named the most it allows. Nothing was paid. */
export class LimitRefused extends Error {
  override readonly name = 'LimitRefused'
  readonly outputLimit: number
  constructor(outputLimit: number, options: ErrorOptions) {
    super(`the provider allows ${outputLimit} tokens of output`, options)
    this.outputLimit = outputLimit
  }
}

/** The provider refused a field that we had added, and takes the call without it. Nothing was paid. */
export class FieldRefused extends Error {
  override readonly name = 'FieldRefused'
}

/** Is this the end of an attempt that came to no answer, and of whose fate nothing is known? */
export const isLost = (error: unknown): boolean =>
  error instanceof CageError && LOST.has(error.code) && error.facts.sent === true

const LOST: ReadonlySet<string> = new Set(['provider_timeout', 'provider_unreachable'])

/** What may be thrown in place of an answer to the client. */
export interface Further {
  /** A LostAttempt: another attempt can be made. */
  hasAttempt: boolean
  /** A LimitRefused: the call can be made with another limit. */
  hasLimit: boolean
  /** A FieldRefused: the call can be made without a field. */
  hasField: boolean
}

/** Attempts the call: with backoff while that throws a LostAttempt, and once more with the limit of a LimitRefused, or without the field of a FieldRefused. */
export async function withFurtherAttempts(
  call: LlmCall,
  clock: Clock,
  signal: AbortSignal,
  attempt: (call: LlmCall, further: Further) => Promise<void>,
): Promise<void> {
  const { retries } = call.provider.settings
  let [attempts, hasField] = [0, true]
  let next = call
  const once = async (): Promise<void> => {
    const further = { hasAttempt: attempts++ < retries, hasLimit: next.outputLimit === undefined, hasField }
    try {
      await attempt(next, further)
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
