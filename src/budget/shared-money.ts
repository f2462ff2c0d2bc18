/** The ledger's view of money that several machines share; `uplink/leases.ts` lends it. */
import type { AgentId } from '../core/ids.ts'
import type { Nanodollars } from '../core/money.ts'
import type { Account } from './account.ts'

/** Who calls. */
export interface SharedSpender {
  agentId: AgentId
  /** The name of the API token of a client without supervision. (Default: none.) */
  tokenName?: string | undefined
}

/** Money lent to this machine: an account beside the agent's own. */
export interface LentMoney {
  readonly id: string
  readonly account: Account<'shared'>
}

export interface SharedMoney {
  /** Returns a lease that can pay; undefined if none can now. Must not be awaited before its money is held. */
  leaseFor(spender: SharedSpender, maxCost: Nanodollars): LentMoney | undefined
  /**
   * Waits until there may be money for a call. Throws BudgetExceededError when the shared budget is spent, BudgetHeldError
   * when other machines have it, CageError `budget_unreachable` or `runtime_revoked`.
   */
  change(call: SharedSpender & { maxCost: Nanodollars }, leftMs: number, signal?: AbortSignal): Promise<void>
  /** The most that a new call may cost, as far as is known here. */
  available(spender: SharedSpender): Nanodollars
  /** What no machine has spent, as far as is known here; nothing before the panel has answered. */
  unspent(spender: SharedSpender): Nanodollars
  /** The account of a lease that is not accounted for yet. */
  find(id: string | null): LentMoney | undefined
}
