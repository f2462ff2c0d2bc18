/** The lines about shared budgets on a machine that has joined a Control Panel. */
import { fromUsd, max, showUsd, showUsdParts, subtract, toUsd, ZERO_NANOS, ZERO_USD } from '../../core/money.ts'
import type { SharedBalanceView, SharedBudget } from '../../uplink/shared-budget.ts'
import type { TreeEntry } from '../output/print.ts'

/** For the block of a start; none without a panel. `isServed`: a server runs, and so asks the panel. (Default: true.) */
export function sharedEntries(shared: SharedBudget | null, isServed = true): TreeEntry[] {
  if (!shared) return []
  const [widest, ...named] = shared.balances
  const here = shared.lent_usd === ZERO_USD ? '' : `${showUsd(shared.lent_usd)} lent to this machine`
  return [
    ['Shared', widest ? balanceText(widest, shared) : here || 'waiting for the Control Panel'],
    ...named.map((balance): TreeEntry => ['', balanceText(balance, shared)]),
    ['', widest && here ? here : null],
    ['Panel', panelText(shared, isServed)],
  ]
}

function balanceText(balance: SharedBalanceView, { fault, balances }: SharedBudget): string {
  const { budget, limit_usd, spent_usd, free_usd, heard_at } = balance
  const unspent = subtract(fromUsd(limit_usd), fromUsd(spent_usd))
  const lentOut = toUsd(max(ZERO_NANOS, subtract(unspent, fromUsd(free_usd))))
  const [limit, spent, free, lent] = showUsdParts(limit_usd, spent_usd, free_usd, lentOut)
  const isOld = fault !== null || Date.parse(heard_at) < Date.parse(balances[0]!.heard_at) - OLD_MS
  const at = isOld ? `, as of ${heard_at}` : ''
  return `${budget}: ${spent} of ${limit} spent, ${free} free, ${lent} lent${at}`
}

/** Connected servers get the budgets that they use each second. */
const OLD_MS = 5_000

function panelText({ panel, name, fault, balances, can_spend }: SharedBudget, isServed: boolean): string {
  const joined = `${panel}, joined as "${name}"`
  if (!isServed) return `${joined}; connects when a server runs`
  if (!fault) return balances.length > 0 ? joined : `${joined}; it has not answered yet`
  const goesOn = can_spend ? 'agents go on with what this machine was lent' : 'calls are refused until it answers'
  return fault.code === 'panel_unreachable' ? `${fault.message}; ${goesOn}` : `${joined}; ${fault.message}`
}
