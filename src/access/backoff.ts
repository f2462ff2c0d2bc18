/**
 * Backoff after failures, by key: some are free, then each doubles the wait. An attempt counts from its beginning, so that
 * a hundred at once are not a hundred guesses. Kept in memory, under hashes, for a while and for so many keys only.
 */
import type { Clock } from '../clock.ts'
import { CageError } from '../errors.ts'
import { hashOf } from './run-tokens.ts'

const FIRST_WAIT_MS = 1_000
const MAX_WAIT_MS = 60_000
/** Failures are forgotten after so long a silence, in ms. */
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

  /** `free`: failures without a wait. */
  constructor(clock: Clock, free: number) {
    this.#clock = clock
    this.#free = free
  }

  /** Counts a failure, to be taken back when it was none. Throws CageError `too_many_attempts`, and counts nothing then. */
  begin(key: string): void {
    const hash = hashOf(key)
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
    // The latest last, so that the oldest goes when there are too many.
    this.#failures.delete(hash)
    this.#failures.set(hash, { count: past.count + 1, at: now })
    if (this.#failures.size > MAX_KEYS) this.#failures.delete(this.#failures.keys().next().value!)
  }

  /** The attempt that was begun did not fail. */
  takeBack(key: string): void {
    const failures = this.#failures.get(hashOf(key))
    if (failures) failures.count -= 1
  }

  /** The attempt that was begun did not fail, and earlier ones are forgotten. */
  forget(key: string): void {
    this.#failures.delete(hashOf(key))
  }
}
