/**
 * Money held for one call, from the hold to its end. LLM calls, priced routes, service calls and reported costs all hold
 * money here; how much a call can cost, and how much it did, is theirs to decide.
 *
 * The rules are:
 * - A call is sent only once its hold is made: `begin` and `attempt` throw before that, and then nothing is held.
 * - It ends once, charged or released, and its end records the call. Every path of a call ends it: an open hold keeps
 *   its money until the next start.
 * - A killed server leaves the row of the hold, which stays held until a person resolves it (`Ledger.recover`).
 */
import type { PaidBy } from '../../budget/budget-events.ts'
import type { Charge, Hold, HoldRequest, Ledger } from '../../budget/ledger.ts'
import type { Money } from '../../budget/open-money.ts'
import type { NewEvent } from '../../core/events.ts'
import type { CallId } from '../../core/ids.ts'
import type { Nanodollars } from '../../core/money.ts'
import type { Caller } from '../call.ts'

/** A call that costs money, as its row has it. */
export interface HeldCall extends Pick<HoldRequest, 'kind' | 'target' | 'model' | 'maxCost' | 'isForTools'> {
  id: CallId
  caller: Caller
}

export class OpenHold {
  readonly #ledger: Ledger
  readonly #hold: Hold
  #hasEnded = false

  /** Holds the maximum cost, after a raise where `budget.on_exhausted: pause` waits for one. Throws like `RaiseWait.run`. */
  static begin(
    { ledger, raiseWait }: Pick<Money, 'ledger' | 'raiseWait'>,
    call: HeldCall,
    signal: AbortSignal,
  ): Promise<OpenHold> {
    return raiseWait.run(call.caller, signal, () => OpenHold.attempt(ledger, call, signal))
  }

  /**
   * Holds the maximum cost, without waiting for a raise: for a service call, which is inside its circuit, and for a
   * call that is priced again after each raise. Throws like `Ledger.hold`.
   */
  static async attempt(ledger: Ledger, { id, caller, ...call }: HeldCall, signal: AbortSignal): Promise<OpenHold> {
    const { agentId, runId, tokenName } = caller
    return new OpenHold(ledger, await ledger.hold({ callId: id, agentId, runId, tokenName, ...call }, signal))
  }

  private constructor(ledger: Ledger, hold: Hold) {
    this.#ledger = ledger
    this.#hold = hold
  }

  get id(): CallId {
    return this.#hold.callId
  }

  get maxCost(): Nanodollars {
    return this.#hold.maxCost
  }

  get paidBy(): PaidBy {
    return this.#hold.paidBy
  }

  get hasEnded(): boolean {
    return this.#hasEnded
  }

  /** The rest of the budgets that pay. */
  get remaining(): Nanodollars {
    return this.#ledger.accounts.available(this.#hold)
  }

  /** Ends it with the actual cost (`Ledger.charge`). */
  charge(charge: Charge, event: NewEvent, alongside?: () => void): Promise<void> {
    this.#hasEnded = true
    return this.#ledger.charge(this.#hold, charge, event, alongside)
  }

  /** Ends it at no cost (`Ledger.release`). */
  release(end: Omit<Charge, 'cost'>, event: NewEvent, alongside?: () => void): Promise<void> {
    this.#hasEnded = true
    return this.#ledger.release(this.#hold, end, event, alongside)
  }
}
