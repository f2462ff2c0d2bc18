/**
 * The one place where an attempt is repeated. Only before the first byte of an answer reached the caller, which
 * `isRetryable` has to know, and never longer than the caller's signal lives.
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { Clock } from '../clock.ts'

/** The first wait, in ms; each further one may be twice as long. */
const BASE_MS = 100
/** The longest wait, in ms. */
const MAX_BACKOFF_MS = 2_000
/** What others ask for is obeyed for at most an hour: more is nonsense, or can be asked for again. */
export const MAX_RETRY_AFTER_MS = 3_600_000

export interface RetryOptions {
  /** Further attempts after the first. */
  retries: number
  clock: Clock
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
  const { retries, clock, signal, isRetryable, retryAfterMs } = options
  for (let done = 0; ; done++) {
    signal.throwIfAborted()
    try {
      return await attempt()
    } catch (error) {
      if (done >= retries || signal.aborted || !isRetryable(error)) throw error
      // Rejects by an abort only, which the next round throws as the signal's own reason.
      await clock.sleep(waitMs(done, retryAfterMs?.(error)), signal).catch(() => undefined)
    }
  }
}

/** Is this the code of a fault in which no byte of the request reached anyone? */
export const isBeforeSending = (code: string): boolean => BEFORE_SENDING.test(code)

const BEFORE_SENDING =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT|ERR_TLS_.+|CERT_.+|DEPTH_ZERO_.+|UNABLE_TO_.+|SELF_SIGNED_.+)$/

/** Half of the wait is fixed and half by chance, so that callers who failed together do not come back together. */
export function waitMs(done: number, asked = 0, chance = Math.random()): number {
  const backoffMs = Math.min(MAX_BACKOFF_MS, BASE_MS * 2 ** done) * (0.5 + chance / 2)
  return asked <= MAX_BACKOFF_MS ? Math.max(backoffMs, asked) : backoffMs
}

/**
 * How long an answer asks to be left alone, in ms from `nowMs` (wall time): at least 0, at most an hour. Reads
 * `retry-after-ms`, and `retry-after` in seconds or as a date. Undefined when it does not say so in any of these ways.
 */
export function parseRetryAfter(headers: IncomingHttpHeaders, nowMs: number): number | undefined {
  const inMs = headers['retry-after-ms']?.toString().trim() ?? ''
  if (/^\d+(\.\d+)?$/.test(inMs)) return clamped(Number(inMs))
  const text = headers['retry-after']?.trim() ?? ''
  if (/^\d+(\.\d+)?$/.test(text)) return clamped(Number(text) * 1000)
  // Date.parse takes almost anything for a date ("-5" is a month), so the form is checked first.
  if (!/^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(text)) return undefined
  const atMs = Date.parse(text)
  return Number.isNaN(atMs) ? undefined : clamped(atMs - nowMs)
}

const clamped = (ms: number): number => Math.min(MAX_RETRY_AFTER_MS, Math.max(0, ms))

/** The headers without a wait longer than anybody should make a client wait. */
export function withClampedRetryAfter<T extends Record<string, string | string[]>>(headers: T, nowMs: number): T {
  const asked = parseRetryAfter(headers as IncomingHttpHeaders, nowMs)
  if (asked !== MAX_RETRY_AFTER_MS) return headers
  const { 'retry-after-ms': _ms, ...others } = headers
  return { ...others, 'retry-after': String(MAX_RETRY_AFTER_MS / 1000) } as unknown as T
}
