/** What the ledger tells, as events. Pure. */
import type { CallRow } from '../db/calls.ts'
import type { EventData, NewEvent } from '../events.ts'
import type { AgentId, CallId } from '../ids.ts'
import { type BudgetScope, type Nanodollars, showUsd, suggestedIncrease, toUsd } from '../money.ts'
import type { Account } from './account.ts'

const show = (nanos: Nanodollars): string => showUsd(toUsd(nanos))

export function raisedEvent(agentId: AgentId, from: Nanodollars, limit: Nanodollars, by: string): NewEvent {
  return {
    type: 'budget.raised',
    level: 'INFO',
    agent_id: agentId,
    message: `Budget ${limit >= from ? 'raised' : 'lowered'} from ${show(from)} to ${show(limit)} by ${by}`,
    data: { from_usd: toUsd(from), limit_usd: toUsd(limit), by },
  }
}

/** Whoever gave a part of an agent's work its limit hears of it by the refusal; nobody else is told. */
export type ToldScope = Exclude<BudgetScope, 'part'>

export function warnedEvent(
  agentId: AgentId,
  scope: ToldScope,
  { spent, limit }: Account,
  threshold: number,
): NewEvent {
  const usedPercent = limit > 0 ? (spent / limit) * 100 : 100
  return {
    type: 'budget.warned',
    level: 'WARN',
    agent_id: agentId,
    message: `${NAMES[scope]} at ${usedPercent.toFixed(1)} %: ${show(spent)} / ${show(limit)}; the agent stops at 100 %`,
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

/** `needed`: the most the refused call could cost; null when the last cent was spent. */
export function exhaustedEvent(
  agentId: AgentId,
  scope: ToldScope,
  { spent, limit }: Account,
  needed: Nanodollars | null,
): NewEvent {
  const what = needed === null ? 'is spent' : `cannot pay a call of up to ${show(needed)}`
  return {
    type: 'budget.exhausted',
    level: 'CRIT',
    agent_id: agentId,
    message: `${NAMES[scope]} ${what}: ${show(spent)} / ${show(limit)}`,
    data: {
      ...foreign(scope),
      spent_usd: toUsd(spent),
      limit_usd: toUsd(limit),
      needed_usd: needed === null ? null : toUsd(needed),
    },
  }
}

export const periodBeganEvent = (agentId: AgentId, data: EventData['budget.period_began']): NewEvent => ({
  type: 'budget.period_began',
  level: 'INFO',
  agent_id: agentId,
  message: `Budget counts from ${data.starts_at} until ${data.ends_at}`,
  data,
})

export function correctedEvent(entry: {
  call: CallRow
  /** Of the correction's own row. */
  id: CallId
  cost: Nanodollars
  difference: Nanodollars
  chargedAt: string
  reason: string
  by: string
}): NewEvent {
  const { call, id, cost, difference, chargedAt, reason, by } = entry
  const sign = difference < 0 ? '−' : '+'
  return {
    type: 'call.corrected',
    level: 'WARN',
    agent_id: call.agent_id,
    message: `${call.model ?? call.target} corrected to ${show(cost)} (${sign}${show(Math.abs(difference))}) by ${by}: ${reason}`,
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

const NAMES = { agent: 'Budget', run: "The run's budget", server: "The server's budget" } as const

const foreign = (scope: ToldScope): { budget?: 'run' | 'server' } => (scope === 'agent' ? {} : { budget: scope })
