/**
 * The leases that pay for the same callers: for any, or for an agent or API token whose shared budget pays as well. Knows
 * which of them can pay, and how much money is wanted; `lease-exchange.ts` asks for it.
 */

import type { LentMoney } from '../budget/shared-money.ts'
import type { Clock } from '../core/clock.ts'
import { add, max, type Nanodollars, nanodollars, subtract, ZERO_NANOS } from '../core/money.ts'
import type { CallerNames, SharedBalance } from '../protocol/lease-messages.ts'
import { type Deadline, hasPassed } from './deadline.ts'

/** Weight of the last second in the rate of spending. */
const RATE_WEIGHT = 0.3

/** `heardAt`: when the panel answered, in ms since 1970. */
export type KnownBalance = SharedBalance & { heardAt: number }

export interface Lease extends LentMoney {
  pool: LeasePool
  /** Nothing new is held of it from then on: its period has ended. Undefined for never. */
  ends: Deadline | undefined
}

export class LeasePool {
  readonly names: CallerNames
  readonly leases = new Set<Lease>()
  /** Of the budget that has the least. */
  balance: KnownBalance | undefined
  isScarce = false
  /** The money was spent, by the last answer; undefined after the next one, and after the next report. */
  exhausted: { least: Nanodollars; balance: SharedBalance } | undefined
  /** The balance is that of an exhausted budget, which may have been raised or have renewed since. */
  isOutdated = false
  /** The maximum cost of the last call. */
  lastMax = nanodollars(1)
  /** Nanodollars per second. */
  #rate = 0
  #spentSinceTick = ZERO_NANOS

  constructor(names: CallerNames) {
    this.names = names
  }

  /** The smallest lease that fits, so that the rest of large ones stays large; and what all have together. */
  find(least: Nanodollars, clock: Clock): { found: Lease | undefined; room: Nanodollars } {
    let found: Lease | undefined
    let room = ZERO_NANOS
    for (const lease of this.leases) {
      const { available } = lease.account
      if (available <= 0 || hasEnded(lease, clock)) continue
      room = add(room, available)
      if (available >= least && !(found && found.account.available <= available)) found = lease
    }
    return { found, room }
  }

  /** What its callers spend in this time, in nanodollars. */
  wanted(seconds: number): Nanodollars {
    return nanodollars(Math.round(this.#rate * seconds))
  }

  /** What no call holds. */
  get unheld(): Nanodollars {
    return add(...[...this.leases].map(({ account }) => max(ZERO_NANOS, account.available)))
  }

  spent(amount: Nanodollars): void {
    this.#spentSinceTick = add(this.#spentSinceTick, amount)
  }

  /** `seconds`: since the last one. */
  tick(seconds: number): void {
    this.#rate = (1 - RATE_WEIGHT) * this.#rate + RATE_WEIGHT * (this.#spentSinceTick / seconds)
    this.#spentSinceTick = ZERO_NANOS
  }
}

export const hasEnded = ({ ends }: Lease, clock: Clock): boolean => ends !== undefined && hasPassed(ends, clock)

/**
 * The amount that calls hold, and their cost as long as that is not committed. `used`: by ended calls whose rows are.
 */
export const heldOf = ({ account: { held, spent } }: Lease, used: Nanodollars): Nanodollars =>
  add(held, subtract(spent, used))
