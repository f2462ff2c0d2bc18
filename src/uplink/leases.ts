/**
 * Pays for calls from leases: slices of a budget that this runtime shares with others through a Control Panel. Each lease
 * is an account beside the agent's own, and a call must fit into one of them as well. Nothing of this exists without a panel.
 *
 *     leases.ts          may this call spend, from which lease, and if not, why
 *     lease-pools.ts     which leases pay for a caller
 *     lease-accounts.ts  the leases themselves: rows and accounts
 *     lease-exchange.ts  the conversation with the panel: asks, reports, returns
 */

import { exhaustedEvent } from '../budget/budget-events.ts'
import type { SharedMoney, SharedSpender } from '../budget/shared-money.ts'
import { type Clock, isoTime } from '../core/clock.ts'
import { BudgetExceededError, BudgetHeldError, CageError } from '../core/errors.ts'
import type { AgentId } from '../core/ids.ts'
import { add, max, type Nanodollars, nanodollars, subtract, UNLIMITED, ZERO_NANOS } from '../core/money.ts'
import { LeaseExchange, type LeaseExchangeOptions } from './lease-exchange.ts'
import type { KnownBalance, Lease, LeasePool } from './lease-pool.ts'
import { LeasePools } from './lease-pools.ts'

const ONE_NANO = nanodollars(1)

export interface LeasesOptions extends LeaseExchangeOptions {
  /** Null for an unknown one. */
  agentName: (agentId: AgentId) => string | null
}

export class Leases implements SharedMoney {
  readonly #options: LeasesOptions
  readonly #clock: Clock
  readonly #pools: LeasePools
  readonly #exchange: LeaseExchange
  /** The spent limit and period that each agent was last notified of. */
  readonly #notified = new Map<AgentId, string>()

  constructor(options: LeasesOptions) {
    this.#options = options
    this.#clock = options.clock
    this.#pools = new LeasePools(options.agentName)
    this.#exchange = new LeaseExchange(options, this.#pools)
  }

  /** Returns a lease that can pay; undefined if none can now. Must not be awaited before its money is held. */
  leaseFor(spender: SharedSpender, maxCost: Nanodollars): Lease | undefined {
    const pool = this.#pools.forSpender(spender)
    // A call of a free model needs a lease as well: providers have charged for those.
    const least = max(ONE_NANO, maxCost)
    pool.lastMax = least
    if (!this.#exchange.maySpend) return undefined
    const { found, room } = pool.find(least, this.#clock)
    if (found && !pool.isScarce && subtract(room, maxCost) < this.#exchange.wantedFor(pool) / 2)
      void this.#exchange.ask(pool, least)
    return found
  }

  /**
   * Waits until there may be money for a call. Throws BudgetExceededError when the shared budget is spent, BudgetHeldError
   * when other runtimes have it, CageError `budget_unreachable` or `runtime_revoked`.
   */
  async change(call: SharedSpender & { maxCost: Nanodollars }, leftMs: number, signal?: AbortSignal) {
    const { agentId, maxCost } = call
    const pool = this.#pools.forSpender(call)
    if (leftMs <= 0 || signal?.aborted || this.#exchange.fault?.code === 'runtime_revoked') {
      throw this.#refusal(pool, agentId, maxCost)
    }
    if (pool.exhausted && maxCost >= pool.exhausted.least) {
      const { limit, settled: spent, endsAt } = pool.exhausted.balance
      const until = endsAt === null ? null : isoTime(endsAt)
      this.#recordExhausted(agentId, { limit, spent }, maxCost, until)
      throw new BudgetExceededError({ budget: 'shared', agentId, limit, spent, needed: maxCost, until })
    }
    const changed = this.#exchange.nextChange(leftMs, signal)
    if (this.#exchange.maySpend) void this.#exchange.ask(pool, max(ONE_NANO, maxCost))
    await changed
  }

  /** The most that a new call may cost, as far as is known here. */
  available(spender: SharedSpender): Nanodollars {
    const pool = this.#pools.forSpender(spender)
    const { balance } = pool.balance && !pool.isOutdated ? pool : this.#pools.base
    return balance ? add(balance.free, pool.unheld) : UNLIMITED
  }

  /**
   * The unspent part of the shared budgets, over all machines, as far as is known here; zero before the panel has
   * answered.
   */
  unspent(spender: SharedSpender): Nanodollars {
    const balance = this.#pools.forSpender(spender).balance ?? this.#pools.base.balance
    return balance ? subtract(balance.limit, balance.settled) : ZERO_NANOS
  }

  /** The panel's last answer; budgets that pay for any call come first. */
  known(): { fault: CageError | undefined; canSpend: boolean; balances: KnownBalance[] } {
    return { fault: this.#exchange.fault, canSpend: this.#exchange.maySpend, balances: this.#pools.balances() }
  }

  /** Waits until the panel has answered, or could not be reached; no longer than `ms`. */
  async firstAnswer(ms: number): Promise<void> {
    if (!this.#pools.base.balance && !this.#exchange.fault) await this.#exchange.nextChange(ms)
  }

  /** The account of a lease that is not accounted for yet. */
  find(id: string | null): Lease | undefined {
    return id === null ? undefined : this.#exchange.accounts.find(id)
  }

  /** Asks the panel for changes without waiting for the next report. */
  refresh(): void {
    this.#exchange.refresh()
  }

  /** Returns everything that no call holds, and reports it. Returns how many leases are left to be accounted for. */
  giveBackAll(): Promise<number> {
    return this.#exchange.giveBackAll()
  }

  /** Returns what no call holds to the panel, if it answers in time. */
  close(): Promise<void> {
    return this.#exchange.close()
  }

  #refusal({ balance }: LeasePool, agentId: string, needed: Nanodollars): CageError {
    if (this.#exchange.fault?.code === 'runtime_revoked') return this.#exchange.fault
    if (this.#exchange.fault || !balance || !this.#exchange.maySpend) {
      return new CageError(
        'budget_unreachable',
        `${agentId} needs money of the shared budget, and ${this.#exchange.fault?.message ?? `the Control Panel at ${this.#options.url} has not answered yet`}`,
        {
          facts: { agent_id: agentId, panel: this.#options.url },
          retryAfterS: 1,
          cause: this.#exchange.fault,
        },
      )
    }
    const held = subtract(balance.limit, add(balance.settled, balance.free))
    return new BudgetHeldError({ budget: 'shared', agentId, needed, held })
  }

  /** Once for each agent, limit and period. */
  #recordExhausted(
    agentId: AgentId,
    balance: { limit: Nanodollars; spent: Nanodollars },
    needed: Nanodollars,
    until: string | null,
  ): void {
    const spent = `${balance.limit} ${until}`
    if (this.#notified.get(agentId) === spent) return
    this.#notified.set(agentId, spent)
    this.#options.record(exhaustedEvent(agentId, 'shared', balance, needed, null))
  }
}
