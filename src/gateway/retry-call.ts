/**
 * A call whose attempt was lost: it may have reached the provider, and no byte of an answer came back. Each further
 * attempt is a call of its own, priced, held and charged for itself, since the provider may charge each of them.
 */
import { retry } from '../breaker/retry.ts'
import { CageError } from '../errors.ts'
import { newCallId } from '../ids.ts'
import type { LlmCall } from './call.ts'

/** The attempt has ended without an answer and was charged; another one may be made. `cause`: why. */
export class LostAttempt extends Error {
  override readonly name = 'LostAttempt'
}

/** Is this the end of an attempt that came to no answer, and of whose fate nothing is known? */
export const isLost = (error: unknown): boolean =>
  error instanceof CageError && LOST.has(error.code) && error.facts.sent === true

const LOST: ReadonlySet<string> = new Set(['provider_timeout', 'provider_unreachable'])

/** Attempts the call, with backoff, while that throws a LostAttempt. `hasAnother`: throw one rather than answer with it. */
export async function withFurtherAttempts(
  call: LlmCall,
  signal: AbortSignal,
  attempt: (call: LlmCall, hasAnother: boolean) => Promise<void>,
): Promise<void> {
  const { retries } = call.provider.settings
  let attempts = 0
  const next = () => attempt(attempts === 0 ? call : { ...call, id: newCallId() }, attempts++ < retries)
  await retry(next, { retries, signal, isRetryable: (error) => error instanceof LostAttempt })
}
