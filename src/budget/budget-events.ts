/** The events of the ledger. Pure. */

import type { EventData, NewEvent } from '../core/events.ts'
import type { AgentId, CallId, RunId } from '../core/ids.ts'
import {
  type BudgetScope,
  type ConfiguredScope,
  type Nanodollars,
  showUsd,
  suggestedIncrease,
  toUsd,
  type Usd,
} from '../core/money.ts'
import { showDuration, showPercent } from '../core/units.ts'
import type { CallRow } from '../db/tables/calls.ts'
import type { Account } from './account.ts'

const show = (nanos: Nanodollars): string => showUsd(toUsd(nanos))

/** The owner of a limit: an agent, or the configuration. */
export type LimitOwner = { agentId: AgentId } | { budget: ConfiguredScope }

export function raisedEvent(owner: LimitOwner, from: Nanodollars, limit: Nanodollars, by: string): NewEvent {
  const name = 'budget' in owner ? CONFIGURED_NAMES[owner.budget] : NAMES.agent
  return {
    type: 'budget.raised',
    level: 'INFO',
    agent_id: 'budget' in owner ? null : owner.agentId,
    message: `${name} ${limit >= from ? 'raised' : 'lowered'} from ${show(from)} to ${show(limit)} by ${by}`,
    data: {
      ...('budget' in owner && { budget: owner.budget }),
      from_usd: toUsd(from),
      limit_usd: toUsd(limit),
      by,
    },
  }
}

/** `configured`: the configured limits that differ from the current ones. */
export function budgetsOpenedEvent(
  data: EventData['budget.opened'],
  configured: Partial<Record<ConfiguredScope, Usd>>,
): NewEvent {
  const { server, run_limit_usd } = data
  const changed = (scope: ConfiguredScope, what: string) => {
    const usd = configured[scope]
    return `${CONFIGURED_NAMES[scope]}: ${what}${usd === undefined ? '' : ` (changed; the configuration says ${showUsd(usd)})`}`
  }
  const parts = [
    server && changed('server', `${showUsd(server.spent_usd)} / ${showUsd(server.limit_usd)}`),
    run_limit_usd !== null && changed('run', showUsd(run_limit_usd)),
  ]
  return {
    type: 'budget.opened',
    level: 'INFO',
    message: parts.filter(Boolean).join(' · ') || 'Agents have only their own budgets',
    data,
  }
}

/** Budgets with notifications. The limit of a part is reported only by the refusal, to its creator. */
export type NotifiedScope = Exclude<BudgetScope, 'part'>
/** The budgets that may be spent; those of a Control Panel warn there. */
export type SpentScope = NotifiedScope | 'shared'

export function warnedEvent(
  agentId: AgentId,
  scope: NotifiedScope,
  { spent, limit }: Account,
  threshold: number,
): NewEvent {
  const usedPercent = limit > 0 ? (spent / limit) * 100 : 100
  return {
    type: 'budget.warned',
    level: 'WARN',
    agent_id: agentId,
    message: `${NAMES[scope]} at ${showPercent(usedPercent, 1)}: ${show(spent)} / ${show(limit)}; exhausted as soon as a call no longer fits`,
    data: {
      ...foreign(scope),
      spent_usd: toUsd(spent),
      limit_usd: toUsd(limit),
      threshold,
      used_percent: usedPercent,
      suggested_increase_usd: toUsd(suggestedIncrease(limit)),
    },
  }
}

/** `needed`: the maximum cost of the refused call; null when everything is spent. `pauseMs`: how long calls wait. */
export function exhaustedEvent(
  agentId: AgentId,
  scope: SpentScope,
  { spent, limit }: Pick<Account, 'spent' | 'limit'>,
  needed: Nanodollars | null,
  pauseMs: number | null,
): NewEvent {
  const wait = pauseMs === null ? '' : `; calls wait up to ${showDuration(pauseMs)} for a raise`
  const what = needed === null ? 'is spent' : `cannot pay a call of up to ${show(needed)}`
  return {
    type: 'budget.exhausted',
    level: 'CRIT',
    agent_id: agentId,
    message: `${NAMES[scope]} ${what}: ${show(spent)} / ${show(limit)}${wait}`,
    data: {
      ...(scope !== 'agent' && { budget: scope }),
      spent_usd: toUsd(spent),
      limit_usd: toUsd(limit),
      needed_usd: needed === null ? null : toUsd(needed),
      ...(pauseMs !== null && { waits_s: pauseMs / 1000 }),
    },
  }
}

/** `agentId`: null for the server's own budget. */
export const periodBeganEvent = (agentId: AgentId | null, data: EventData['budget.period_began']): NewEvent => ({
  type: 'budget.period_began',
  level: 'INFO',
  agent_id: agentId,
  message: `${agentId === null ? NAMES.server : NAMES.agent} counts from ${data.starts_at} until ${data.ends_at}`,
  data,
})

export function correctedEvent(entry: {
  call: CallRow
  /** Id of the correction's own row. */
  id: CallId
  cost: Nanodollars
  difference: Nanodollars
  chargedAt: string
  reason: string
  by: string
  paidBy: PaidBy
}): NewEvent {
  const { call, id, cost, difference, chargedAt, reason, by, paidBy } = entry
  const change = difference < 0 ? show(difference).replace('-', '−') : `+${show(difference)}`
  return {
    type: 'call.corrected',
    level: 'WARN',
    agent_id: call.agent_id,
    message: `${call.model ?? call.target} corrected to ${show(cost)} (${change}) by ${by}: ${reason}`,
    data: {
      call_id: call.id,
      correction_id: id,
      target: call.target,
      model: call.model,
      cost_usd: toUsd(cost),
      difference_usd: toUsd(difference),
      charged_at: chargedAt,
      reason,
      by,
      ...paidBy,
    },
  }
}

export function resolvedEvent(end: {
  call: CallRow
  outcome: 'charged' | 'released'
  cost: Nanodollars
  by: string
}): NewEvent {
  const { call, outcome, cost, by } = end
  return {
    type: 'call.resolved',
    level: 'INFO',
    agent_id: call.agent_id,
    message: `${call.model ?? call.target} of a killed server ${outcome}${cost > 0 ? ` · ${show(cost)}` : ''} by ${by}`,
    data: {
      call_id: call.id,
      target: call.target,
      model: call.model,
      outcome,
      held_usd: toUsd(call.held_nanos),
      cost_usd: toUsd(cost),
      by,
    },
  }
}

/** For the event of a cost. Empty if runs have no budget. */
export type PaidBy = { run_id?: RunId }

const NAMES = {
  agent: 'Budget',
  run: "The run's budget",
  server: "The server's budget",
  shared: 'The shared budget',
} as const

const CONFIGURED_NAMES = { run: "Each run's budget", server: NAMES.server } as const

const foreign = (scope: NotifiedScope): { budget?: ConfiguredScope } => (scope === 'agent' ? {} : { budget: scope })
