import type { BudgetView, EventOf, RuntimeEvent } from '../../events.ts'
import { addUsd, type Usd } from '../../money.ts'

export function applyToRunLimit(limit: Usd | null, event: RuntimeEvent): Usd | null {
  if (event.type === 'budget.opened') return event.data.run_limit_usd
  return event.type === 'budget.raised' && event.data.budget === 'run' ? event.data.limit_usd : limit
}

export function applyToServerBudget(budget: BudgetView | null, event: RuntimeEvent): BudgetView | null {
  if (event.type === 'budget.opened') return event.data.server
  if (!budget) return null
  switch (event.type) {
    case 'budget.raised':
      return event.data.budget === 'server' ? { ...budget, limit_usd: event.data.limit_usd } : budget
    case 'budget.period_began':
      return event.agent_id === null ? { ...budget, period: event.data } : budget
    case 'call.completed':
    case 'call.failed':
    case 'service.called':
    case 'call.resolved':
      return { ...budget, spent_usd: addUsd(budget.spent_usd, event.data.cost_usd) }
    case 'call.corrected':
      return {
        ...budget,
        spent_usd: addUsd(budget.spent_usd, event.data.difference_usd),
        period: correctedPeriod(budget.period, event),
      }
    default:
      return budget
  }
}

/** A correction of a charge before the current period counts before it as well. */
export function correctedPeriod(
  period: BudgetView['period'],
  { data }: EventOf<'call.corrected'>,
): BudgetView['period'] {
  if (!period || data.charged_at >= period.starts_at) return period
  return { ...period, spent_before_usd: addUsd(period.spent_before_usd, data.difference_usd) }
}
