/** One budget: a limit, the amounts counted against it, and the calls waiting for it. Nothing here waits or writes. */
import type { Clock } from '../core/clock.ts'
import type { AgentId, RunId } from '../core/ids.ts'
import { add, type BudgetScope, type Nanodollars, type PayingScope, subtract, ZERO_NANOS } from '../core/money.ts'
import type { Totals } from '../db/tables/calls.ts'

export interface Balance {
  limit: Nanodollars
  spent: Nanodollars
  held: Nanodollars
}

/** `Scope`: whose it is. */
export class Account<Scope extends PayingScope = BudgetScope> implements Balance {
  readonly scope: Scope
  /** The run that it belongs to, if it is a run's. */
  readonly runId: RunId | undefined
  limit: Nanodollars
  /** In this period; in total without periods. So is `held`. */
  spent: Nanodollars
  held: Nanodollars
  /** Spent in earlier periods. */
  spentBefore: Nanodollars
  /** The highest share of the limit that was warned about, for this limit and period; 0 for none. */
  warnedShare = 0
  /** The agents notified that this limit is exhausted: each is notified once. */
  readonly exhausted = new Set<AgentId>()
  /** The agents that were refused a call with the provider's tools, larger than this whole limit. */
  readonly oversized = new Set<AgentId>()
  readonly #waiting = new Set<() => void>()

  constructor(scope: Scope, limit: Nanodollars, { spent, spentBefore, held }: Totals, runId?: RunId) {
    this.scope = scope
    this.runId = runId
    this.limit = limit
    this.spent = spent
    this.spentBefore = spentBefore
    this.held = held
  }

  /** Negative when more was spent than the limit now allows. */
  get unspent(): Nanodollars {
    return subtract(this.limit, this.spent)
  }

  /** The amount that a new call may hold. */
  get available(): Nanodollars {
    return subtract(this.unspent, this.held)
  }

  hold(maxCost: Nanodollars): void {
    this.held = add(this.held, maxCost)
  }

  /** Ends a hold with its actual cost, of this period or of an earlier one. */
  settle(maxCost: Nanodollars, cost: Nanodollars, isOfThisPeriod = true): void {
    if (isOfThisPeriod) {
      this.held = subtract(this.held, maxCost)
      this.spent = add(this.spent, cost)
    } else this.spentBefore = add(this.spentBefore, cost)
    this.#wake()
  }

  /** Applies a correction, in this period or before it. */
  correct(difference: Nanodollars, isOfThisPeriod: boolean): void {
    if (isOfThisPeriod) this.spent = add(this.spent, difference)
    else this.spentBefore = add(this.spentBefore, difference)
    this.#wake()
  }

  /** Resets the warnings and notifications. */
  setLimit(limit: Nanodollars): void {
    this.limit = limit
    this.#renew()
  }

  /** What running calls hold belongs to the period in which it was held, and is charged there. */
  beginPeriod(): void {
    this.spentBefore = add(this.spentBefore, this.spent)
    this.spent = ZERO_NANOS
    this.held = ZERO_NANOS
    this.#renew()
  }

  /** Calls `listener` once at the next change. Returns an unsubscribe function. */
  onceChanged(listener: () => void): () => void {
    this.#waiting.add(listener)
    return () => this.#waiting.delete(listener)
  }

  #renew(): void {
    this.warnedShare = 0
    this.exhausted.clear()
    this.oversized.clear()
    this.#wake()
  }

  #wake(): void {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const resume of waiting) resume()
  }
}

/** Resolves when one of the accounts changes, after `ms`, or when `signal` fires. */
export function accountChange(accounts: readonly Account[], clock: Clock, ms: number, signal: AbortSignal | undefined) {
  return new Promise<void>((resolve) => {
    const done = () => {
      timer.cancel()
      signal?.removeEventListener('abort', done)
      for (const leave of leaving) leave()
      resolve()
    }
    const timer = clock.after(ms, done)
    signal?.addEventListener('abort', done, { once: true })
    const leaving = accounts.map((account) => account.onceChanged(done))
  })
}
