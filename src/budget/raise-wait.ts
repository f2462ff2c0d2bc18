/**
 * With `budget.on_exhausted: pause` a call that its budget cannot pay waits until a person raises the budget, stops the
 * agent, or the wait is over. The process runs on: it waits for its answer, as it does for a slow provider.
 */
import type { Clock } from '../core/clock.ts'
import { BudgetExceededError, CageError } from '../core/errors.ts'
import { showDuration } from '../core/units.ts'
import { accountChange } from './account.ts'
import type { Accounts, Spender } from './accounts.ts'

/** The limit of a part of an agent's work is its own code's, a shared one that of a Control Panel. */
const NOT_AWAITED: ReadonlySet<unknown> = new Set(['part', 'shared'])
/** Calls that wait at once: each holds its request in memory. */
const MAX_WAITING = 1_000

export class RaiseWait {
  readonly #accounts: Accounts
  readonly #clock: Clock
  /** Null: no call waits. */
  readonly #waitMs: number | null
  #waiting = 0

  constructor(accounts: Accounts, clock: Clock, waitMs: number | null) {
    this.#accounts = accounts
    this.#clock = clock
    this.#waitMs = waitMs
  }

  /**
   * Attempts it, again after each change of a budget that pays for it. Throws its errors, and CageError
   * `budget_exceeded` when the wait is over. The limit of a part of an agent's work is its own code's: no call waits
   * for it.
   */
  async run<T>(spender: Spender, signal: AbortSignal, attempt: () => Promise<T>): Promise<T> {
    const deadline = this.#clock.monotonic() + (this.#waitMs ?? 0)
    for (;;) {
      try {
        return await attempt()
      } catch (error) {
        if (!(error instanceof BudgetExceededError) || NOT_AWAITED.has(error.facts.budget) || this.#waitMs === null)
          throw error
        if (this.#waiting >= MAX_WAITING) throw error
        await this.#change(spender, signal, deadline, error)
      }
    }
  }

  async #change(spender: Spender, signal: AbortSignal, deadline: number, refusal: CageError): Promise<void> {
    const leftMs = deadline - this.#clock.monotonic()
    if (leftMs <= 0) throw notRaised(refusal, this.#waitMs!)
    this.#waiting += 1
    try {
      await accountChange(this.#accounts.payersOf(spender), this.#clock, leftMs, signal)
    } finally {
      this.#waiting -= 1
    }
    signal.throwIfAborted()
  }
}

const notRaised = (refusal: CageError, waitMs: number): CageError =>
  new CageError('budget_exceeded', `${refusal.message}, and nobody raised it within ${showDuration(waitMs)}`, {
    facts: { ...refusal.facts, waited_s: waitMs / 1000 },
    hint: refusal.hint,
    cause: refusal,
  })
