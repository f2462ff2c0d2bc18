import type { Clock } from '../core/clock.ts'

const DAY_MS = 86_400_000

/** A quota in bytes per day (UTC, like the log files). */
export class DayQuota {
  readonly #max: number
  readonly #clock: Clock
  #day = -1
  #taken = 0

  constructor(max: number, clock: Clock) {
    this.#max = max
    this.#clock = clock
  }

  /** Takes `amount` from today's quota. Returns false, and takes nothing, when less is left. */
  take(amount: number): boolean {
    const day = Math.floor(this.#clock.now() / DAY_MS)
    if (day !== this.#day) this.#taken = 0
    this.#day = day
    if (this.#taken + amount > this.#max) return false
    this.#taken += amount
    return true
  }
}
