/**
 * Which leases pay for a caller: those of its agent or API token if a shared budget names one of them, else those for any
 * caller.
 */

import type { SharedSpender } from '../budget/shared-money.ts'
import type { AgentId } from '../core/ids.ts'
import type { CallerNames, NamedBudget } from '../protocol/lease-messages.ts'
import { type KnownBalance, LeasePool } from './lease-pool.ts'

export class LeasePools implements Iterable<LeasePool> {
  /** For callers without shared budgets of their own. */
  readonly base = new LeasePool({ agent: null, token: null })
  /** Of the budgets that the panel listed last; -1 before it has. */
  version = -1
  readonly #agentName: (agentId: AgentId) => string | null
  readonly #pools = new Map([[keyOf(this.base.names), this.base]])
  /** The agents and tokens with shared budgets of their own. */
  #named = namesIn([])

  constructor(agentName: (agentId: AgentId) => string | null) {
    this.#agentName = agentName
  }

  [Symbol.iterator](): Iterator<LeasePool> {
    return this.#pools.values()
  }

  forSpender({ agentId, tokenName }: SharedSpender): LeasePool {
    const { agents, tokens } = this.#named
    if (agents.size === 0 && tokens.size === 0) return this.base
    const agent = this.#agentName(agentId)
    return this.for({
      agent: agent !== null && agents.has(agent) ? agent : null,
      token: tokenName !== undefined && tokens.has(tokenName) ? tokenName : null,
    })
  }

  for(names: CallerNames): LeasePool {
    const key = keyOf(names)
    const pool = this.#pools.get(key) ?? new LeasePool(names)
    this.#pools.set(key, pool)
    return pool
  }

  setBudgets(version: number, budgets: readonly NamedBudget[]): void {
    this.#named = namesIn(budgets)
    this.version = version
  }

  /** By budget, those that pay for any call first. */
  balances(): KnownBalance[] {
    const balances = new Map<string, KnownBalance>()
    for (const { balance } of this) if (balance && !balances.has(balance.budget)) balances.set(balance.budget, balance)
    return [...balances.values()]
  }
}

const keyOf = ({ agent, token }: CallerNames): string => JSON.stringify([agent, token])

function namesIn(budgets: readonly NamedBudget[]) {
  const named = (wanted: NamedBudget['scope']) =>
    new Set(budgets.flatMap(({ scope, name }) => (scope === wanted ? [name] : [])))
  return { agents: named('agent'), tokens: named('token') }
}
