import type { BudgetView, RuntimeEvent } from '../../core/events.ts'
import { addUsd, type Usd } from '../../core/money.ts'

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
      return { ...charged(budget, event), spent_usd: addUsd(budget.spent_usd, event.data.cost_usd) }
    case 'call.corrected':
      return { ...charged(budget, event), spent_usd: addUsd(budget.spent_usd, event.data.difference_usd) }
    default:
      return budget
  }
}

/** Money that was held before the current period counts before it, and so does the correction of such a call. */
export function charged<Budget extends Pick<BudgetView, 'period'>>(budget: Budget, event: RuntimeEvent): Budget {
  const { period } = budget
  const cost = costOf(event)
  if (!period || !cost || cost.heldAt === undefined || cost.heldAt >= period.starts_at) return budget
  return { ...budget, period: { ...period, spent_before_usd: addUsd(period.spent_before_usd, cost.usd) } }
}

/** `heldAt`: undefined for this period. */
function costOf(event: RuntimeEvent): { usd: Usd; heldAt: string | undefined } | undefined {
  switch (event.type) {
    case 'call.completed':
    case 'call.failed':
    case 'service.called':
    case 'call.resolved':
      return { usd: event.data.cost_usd, heldAt: event.data.held_at }
    case 'call.corrected':
      return { usd: event.data.difference_usd, heldAt: event.data.charged_at }
    default:
      return undefined
  }
}
