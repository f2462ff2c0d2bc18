/**
 * The one place where an attempt is repeated. Only before the first byte of an answer reached the caller, which
 * `isRetryable` has to know, and never longer than the caller's signal lives.
 */
import { setTimeout as sleep } from 'node:timers/promises'

/** The first wait, in ms; each further one may be twice as long. */
const BASE_MS = 100
/** The longest wait, in ms. */
const MOST_MS = 2_000
const DAY_MS = 86_400_000

export interface RetryOptions {
  /** Further attempts after the first. */
  retries: number
  signal: AbortSignal
  isRetryable: (error: unknown) => boolean
  /**
   * How long the other side asked to wait, in ms. Obeyed up to two seconds; a longer wish is the circuit's to keep, and
   * the attempts go on so that the circuit learns of it. (Default: nothing was asked.)
   */
  retryAfterMs?: (error: unknown) => number | undefined
}

/** Returns the first result, or throws the last error. An abort ends a wait at once and throws the signal's reason. */
export async function retry<T>(attempt: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { retries, signal, isRetryable, retryAfterMs } = options
  for (let done = 0; ; done++) {
    signal.throwIfAborted()
    try {
      return await attempt()
    } catch (error) {
      if (done >= retries || signal.aborted || !isRetryable(error)) throw error
      // Rejects by an abort only, which the next round throws as the signal's own reason.
      await sleep(waitMs(done, retryAfterMs?.(error)), undefined, { signal }).catch(() => undefined)
    }
  }
}

/** Half of the wait is fixed and half by chance, so that callers who failed together do not come back together. */
export function waitMs(done: number, asked = 0, chance = Math.random()): number {
  const backoffMs = Math.min(MOST_MS, BASE_MS * 2 ** done) * (0.5 + chance / 2)
  return asked <= MOST_MS ? Math.max(backoffMs, asked) : backoffMs
}

/**
 * Reads a `Retry-After` header, seconds or a date, as ms from `nowMs` (wall time): at least 0, at most a day.
 * Returns undefined for everything else.
 */
export function parseRetryAfter(header: string | undefined, nowMs: number): number | undefined {
  const text = header?.trim() ?? ''
  if (/^\d+(\.\d+)?$/.test(text)) return Math.min(DAY_MS, Number(text) * 1000)
  // Date.parse takes almost anything for a date ("-5" is a month), so the form is checked first.
  if (!/^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(text)) return undefined
  const atMs = Date.parse(text)
  return Number.isNaN(atMs) ? undefined : Math.min(DAY_MS, Math.max(0, atMs - nowMs))
}
