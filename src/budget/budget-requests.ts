/**
 * Agents ask for more of a budget; a person decides. The request goes to where the budget is that has the least left: a
 * budget of this server is raised here, as an alert proposes; a shared one by an admin of the Control Panel.
 */

import { CageError } from '../core/errors.ts'
import { newRequestId } from '../core/ids.ts'
import { type BudgetScope, type Nanodollars, showUsd, toUsd } from '../core/money.ts'
import type { AgentRequest } from '../protocol/control-messages.ts'
import type { AlertView } from '../state/snapshot.ts'
import type { StateManager } from '../state/state-manager.ts'
import type { Accounts, Spender } from './accounts.ts'
import type { SharedMoney } from './shared-money.ts'

/** Requests of one agent that wait here. */
const MAX_PENDING = 3

/** Where agents ask for more of a shared budget. Rejects with CageError. */
export interface PanelRequests {
  /** Asking again for what waits returns the request that waits. */
  ask(asked: { agent: string; token: string | null; amount: Nanodollars; reason: string }): Promise<AgentRequest>
  find(id: string, agent: string): Promise<AgentRequest>
}

export interface BudgetRequestsOptions {
  state: Pick<StateManager, 'read' | 'record'>
  accounts: Accounts
  leases: SharedMoney | undefined
  /** Undefined without a Control Panel. */
  panel: PanelRequests | undefined
}

export class BudgetRequests {
  readonly #options: BudgetRequestsOptions

  constructor(options: BudgetRequestsOptions) {
    this.#options = options
  }

  /**
   * Returns the request, or the waiting one if it was asked before. Rejects with CageError `conflict` when too many of
   * this agent wait, and with a panel's errors.
   */
  async ask(spender: Spender, amount: Nanodollars, reason: string): Promise<AgentRequest> {
    const { state, panel } = this.#options
    const { agentId, tokenName = null } = spender
    const pending = this.#of(spender).filter(({ request }) => request.state === 'pending')
    const same = pending.find(({ request }) => request.add_usd === toUsd(amount) && request.reason === reason)
    if (same) return requestOf(same)
    const budget = this.#scarcest(spender)
    if (panel && budget === 'shared') {
      return panel.ask({ agent: this.#nameOf(spender), token: tokenName, amount, reason })
    }
    if (pending.length >= MAX_PENDING) {
      throw new CageError('conflict', `${MAX_PENDING} requests of ${agentId} wait for a decision`, {
        facts: { agent_id: agentId },
        hint: 'approve or reject them on the dashboard',
      })
    }
    const id = newRequestId()
    state.record({
      type: 'budget.requested',
      level: 'WARN',
      agent_id: agentId,
      message: `Asks for ${showUsd(toUsd(amount))} more: ${reason}`,
      data: {
        request_id: id,
        ...((budget === 'run' || budget === 'server') && { budget }),
        add_usd: toUsd(amount),
        reason,
      },
    })
    return requestOf(this.#of(spender).find(({ request }) => request.id === id)!)
  }

  /** Rejects with CageError `not_found`, and with a panel's errors. */
  async find(spender: Spender, id: string): Promise<AgentRequest> {
    const known = this.#of(spender).find(({ request }) => request.id === id)
    if (known) return requestOf(known)
    const { panel } = this.#options
    if (panel) return panel.find(id, this.#nameOf(spender))
    throw new CageError('not_found', `${spender.agentId} has no request "${id}"`)
  }

  /** Of one agent, that are decided here. */
  #of({ agentId }: Spender): RequestAlert[] {
    return this.#options.state.read().alerts.filter((alert): alert is RequestAlert => {
      return alert.agent_id === agentId && alert.request !== undefined
    })
  }

  #nameOf({ agentId }: Spender): string {
    return this.#options.state.read().agents[agentId]?.name ?? agentId
  }

  /**
   * Which of the budgets that pay for its calls has the least that is not spent: held or lent money comes back. The
   * limit of a part of its work is its own code's.
   */
  #scarcest(spender: Spender): Exclude<BudgetScope, 'part'> | 'shared' {
    const { accounts, leases } = this.#options
    let least = leases?.unspent(spender)
    let scarcest: Exclude<BudgetScope, 'part'> | 'shared' | undefined = leases && 'shared'
    for (const { scope, unspent } of accounts.payersOf(spender)) {
      if (scope === 'part' || (least !== undefined && unspent >= least)) continue
      least = unspent
      scarcest = scope
    }
    return scarcest!
  }
}

type RequestAlert = AlertView & { request: NonNullable<AlertView['request']> }

const requestOf = ({ budget, at, request: { id, add_usd, reason, state } }: RequestAlert): AgentRequest => ({
  ...{ id, budget: budget ?? 'agent', add_usd, reason },
  ...{ asked_at: at, state, decision: null },
})
