/**
 * Backoff after failures, by key: the first few are free, then each doubles the wait. An attempt counts when it begins, so
 * that a hundred concurrent attempts are not a hundred guesses. Kept in memory, under hashed keys, bounded in time and size.
 */
import type { Clock } from '../clock.ts'
import { CageError } from '../errors.ts'
import { tokenHash } from './run-tokens.ts'

const FIRST_WAIT_MS = 1_000
const MAX_WAIT_MS = 60_000
/** Failures are forgotten after this long without another one, in ms. */
const FORGET_MS = 15 * 60_000
const MAX_KEYS = 10_000

interface Failures {
  count: number
  at: number
}

export class Backoff {
  readonly #clock: Clock
  readonly #free: number
  readonly #failures = new Map<string, Failures>()

  /** `free`: number of failures without a wait. */
  constructor(clock: Clock, free: number) {
    this.#clock = clock
    this.#free = free
  }

  /** Counts an attempt as a failure until it succeeds. Throws CageError `too_many_attempts`, which counts nothing. */
  begin(key: string): void {
    const hash = tokenHash(key)
    const now = this.#clock.monotonic()
    const known = this.#failures.get(hash)
    const past = known && now - known.at < FORGET_MS ? known : { count: 0, at: now }
    const over = past.count - this.#free
    const waitMs = over < 0 ? 0 : Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** over) - (now - past.at)
    if (waitMs > 0) {
      throw new CageError('too_many_attempts', 'too many attempts to sign in failed', {
        retryAfterS: Math.ceil(waitMs / 1000),
      })
    }
    // Reinserted last, so that the oldest key is evicted first.
    this.#failures.delete(hash)
    this.#failures.set(hash, { count: past.count + 1, at: now })
    if (this.#failures.size > MAX_KEYS) this.#failures.delete(this.#failures.keys().next().value!)
  }

  /** Undoes `attempt`: it did not fail. */
  takeBack(key: string): void {
    const failures = this.#failures.get(tokenHash(key))
    if (failures) failures.count -= 1
  }

  /** Undoes `attempt` and forgets earlier failures. */
  forget(key: string): void {
    this.#failures.delete(tokenHash(key))
  }
}
