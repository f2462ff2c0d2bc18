/**
 * Backoff after failures, by key: the first few are free, then each doubles the wait. An attempt counts when it begins, so
 * that a hundred concurrent attempts are not a hundred guesses.
 */
import { backoffMs } from '../core/backoff.ts'
import type { Clock } from '../core/clock.ts'
import { CageError } from '../core/errors.ts'
import { tokenHash } from './run-tokens.ts'

export const MAX_WAIT_MS = 60_000
/** Failures are forgotten after this long without another one, in ms. */
export const FORGET_MS = 15 * 60_000
const MAX_KEYS = 10_000

export interface Backoff {
  /** Counts an attempt as a failure until it succeeds. Throws CageError `too_many_attempts`, which counts nothing. */
  begin(key: string): void | Promise<void>
  /** Undoes `begin`: it did not fail. */
  takeBack(key: string): void | Promise<void>
  /** Undoes `begin` and forgets earlier failures. */
  forget(key: string): void | Promise<void>
}

/** The known attempts: of this process, or of several. */
export interface AttemptStore {
  /** `free`: number of failures without a wait. */
  failures(name: string, free: number): Backoff
  /** Whether this key has succeeded. */
  isProven(key: string): boolean | Promise<boolean>
  prove(key: string): void | Promise<void>
}

/** How long an attempt waits after `over` failures more than the free ones, in ms. */
export const waitMs = (over: number): number => backoffMs(over + 1, { firstMs: 1_000, maxMs: MAX_WAIT_MS })

export const tooManyAttempts = (ms: number): CageError =>
  new CageError('too_many_attempts', 'too many attempts to sign in failed', { retryAfterS: Math.ceil(ms / 1000) })

/** Attempts of this process, in memory, bounded in time and size. */
export function localAttempts(clock: Clock): AttemptStore {
  const proven = new Set<string>()
  return {
    failures: (_name, free) => new LocalBackoff(clock, free),
    isProven: (key) => proven.has(key),
    // Keeps the most recent ones.
    prove: (key) => {
      proven.delete(key)
      proven.add(key)
      if (proven.size > MAX_KEYS) proven.delete(proven.values().next().value!)
    },
  }
}

interface Failures {
  count: number
  at: number
}

class LocalBackoff implements Backoff {
  readonly #clock: Clock
  readonly #free: number
  /** By hashed key. */
  readonly #failures = new Map<string, Failures>()

  constructor(clock: Clock, free: number) {
    this.#clock = clock
    this.#free = free
  }

  begin(key: string): void {
    const hash = tokenHash(key)
    const now = this.#clock.monotonic()
    const known = this.#failures.get(hash)
    const past = known && now - known.at < FORGET_MS ? known : { count: 0, at: now }
    const leftMs = waitMs(past.count - this.#free) - (now - past.at)
    if (leftMs > 0) throw tooManyAttempts(leftMs)
    // Reinserted last, so that the oldest key is evicted first.
    this.#failures.delete(hash)
    this.#failures.set(hash, { count: past.count + 1, at: now })
    if (this.#failures.size > MAX_KEYS) this.#failures.delete(this.#failures.keys().next().value!)
  }

  takeBack(key: string): void {
    const failures = this.#failures.get(tokenHash(key))
    if (failures) failures.count -= 1
  }

  forget(key: string): void {
    this.#failures.delete(tokenHash(key))
  }
}
