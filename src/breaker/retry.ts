/**
 * The only place where an attempt is retried: only before the first byte of a response reached the caller, which
 * `isRetryable` must know, and never after the caller's signal was aborted.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { backoffMs } from '../core/backoff.ts'
import type { Clock } from '../core/clock.ts'

const BACKOFF = { firstMs: 100, maxMs: 2_000 }
/** A requested wait counts for an hour at most: longer ones are nonsense, or will be asked for again. */
export const MAX_RETRY_AFTER_MS = 3_600_000

export interface RetryOptions {
  /** Further attempts after the first. */
  retries: number
  clock: Clock
  signal: AbortSignal
  isRetryable: (error: unknown) => boolean
  /**
   * The wait that the other side asked for, in ms. Respected up to two seconds; a longer one is the circuit's to enforce,
   * and attempts continue so that the circuit learns of it. (Default: none.)
   */
  retryAfterMs?: (error: unknown) => number | undefined
}

/** Returns the first result or throws the last error. An abort ends the wait and throws the signal's reason. */
export async function retry<T>(attempt: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { retries, clock, signal, isRetryable, retryAfterMs } = options
  for (let done = 0; ; done++) {
    signal.throwIfAborted()
    try {
      return await attempt()
    } catch (error) {
      if (done >= retries || signal.aborted || !isRetryable(error)) throw error
      // Rejects only on abort; the next iteration throws the signal's reason.
      await clock.sleep(waitMs(done, retryAfterMs?.(error)), signal).catch(() => undefined)
    }
  }
}

/** True for errors before any byte of the request was sent. */
export const isBeforeSending = (code: string): boolean => BEFORE_SENDING.test(code)

const BEFORE_SENDING =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT|ERR_TLS_.+|CERT_.+|DEPTH_ZERO_.+|UNABLE_TO_.+|SELF_SIGNED_.+)$/

/** Half fixed, half jitter, so that callers that failed together do not return together. */
export function waitMs(done: number, asked = 0, chance = Math.random()): number {
  const ownMs = backoffMs(done + 1, BACKOFF) * (0.5 + chance / 2)
  return asked <= BACKOFF.maxMs ? Math.max(ownMs, asked) : ownMs
}

/**
 * The wait that a response asks for, in ms from `nowMs` (wall time): from 0 to an hour. Reads `retry-after-ms`, and
 * `retry-after` in seconds or as a date. Undefined without any of these.
 */
export function parseRetryAfter(headers: IncomingHttpHeaders, nowMs: number): number | undefined {
  const inMs = headers['retry-after-ms']?.toString().trim() ?? ''
  if (/^\d+(\.\d+)?$/.test(inMs)) return clamped(Number(inMs))
  const text = headers['retry-after']?.trim() ?? ''
  if (/^\d+(\.\d+)?$/.test(text)) return clamped(Number(text) * 1000)
  // Date.parse accepts almost anything ("-5" is a month), so the format is checked first.
  if (!/^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(text)) return undefined
  const atMs = Date.parse(text)
  return Number.isNaN(atMs) ? undefined : clamped(atMs - nowMs)
}

const clamped = (ms: number): number => Math.min(MAX_RETRY_AFTER_MS, Math.max(0, ms))

/** The headers without a wait that no client should be asked for. */
export function withClampedRetryAfter<T extends Record<string, string | string[]>>(headers: T, nowMs: number): T {
  const asked = parseRetryAfter(headers as IncomingHttpHeaders, nowMs)
  if (asked !== MAX_RETRY_AFTER_MS) return headers
  const { 'retry-after-ms': _ms, ...others } = headers
  return { ...others, 'retry-after': String(MAX_RETRY_AFTER_MS / 1000) } as unknown as T
}
