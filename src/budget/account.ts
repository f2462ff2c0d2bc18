/** One budget: a limit, what counts against it, and who waits for it. Nothing here waits or writes. */
import type { Clock } from '../clock.ts'
import type { AgentId, RunId } from '../ids.ts'
import type { BudgetScope, Nanodollars } from '../money.ts'

export interface Balance {
  limit: Nanodollars
  spent: Nanodollars
  held: Nanodollars
}

export class Account implements Balance {
  readonly scope: BudgetScope
  /** Whose it is, when it is a run's. */
  readonly runId: RunId | undefined
  limit: Nanodollars
  /** In this period; ever, where there are no periods. */
  spent: Nanodollars
  held: Nanodollars
  /** Spent in periods that are over. */
  spentBefore: Nanodollars
  /** The share of the limit of which was last warned, for this limit and period; 0 for none. */
  warnedShare = 0
  /** The agents that were notified that this limit is used up: each is notified once. */
  readonly exhausted = new Set<AgentId>()
  readonly #waiting = new Set<() => void>()

  constructor(
    scope: BudgetScope,
    limit: Nanodollars,
    { spent, spentBefore, held }: { spent: Nanodollars; spentBefore: Nanodollars; held: Nanodollars },
    runId?: RunId,
  ) {
    this.scope = scope
    this.runId = runId
    this.limit = limit
    this.spent = spent
    this.spentBefore = spentBefore
    this.held = held
  }

  /** Negative when more was spent than the limit allows now. */
  get unspent(): Nanodollars {
    return this.limit - this.spent
  }

  /** What a new call could hold. */
  get available(): Nanodollars {
    return this.unspent - this.held
  }

  hold(maxCost: Nanodollars): void {
    this.held += maxCost
  }

  /** Ends a hold by what it cost. */
  settle(maxCost: Nanodollars, cost: Nanodollars): void {
    this.held -= maxCost
    this.spent += cost
    this.#wake()
  }

  /** Counts a difference, in this period or before it. */
  correct(difference: Nanodollars, isOfThisPeriod: boolean): void {
    if (isOfThisPeriod) this.spent += difference
    else this.spentBefore += difference
    this.#wake()
  }

  /** Warns and ends anew. */
  setLimit(limit: Nanodollars): void {
    this.limit = limit
    this.#renew()
  }

  /** What running calls hold stays held: they will be charged to the period in which they end. */
  beginPeriod(): void {
    this.spentBefore += this.spent
    this.spent = 0
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
