/**
 * Where the money of one agent, or of all, went: read from the ledger, so that its parts add up to what the ledger,
 * the snapshot and the budget say, to the nanodollar.
 */
import type { CallRow, CallTable, CostRow, Scope } from '../db/calls.ts'
import { type Nanodollars, toUsd, type Usd } from '../money.ts'

export interface CostReport {
  /** With corrections, in all its life: the sum of by_agent, that of by_hour, and that of by_model and by_service. */
  spent_usd: Usd
  /** By calls that run and by those that a killed server left open. */
  held_usd: Usd
  rows: Record<CallRow['state'], number>
  by_agent: Cost[]
  by_model: Cost[]
  by_service: Cost[]
  /** "2026-01-02T03:00Z", oldest first. */
  by_hour: Cost[]
}

export interface Cost {
  name: string
  calls: number
  cost_usd: Usd
}

export function costReport(calls: CallTable, scope: Scope): CostReport {
  const states = calls.statesOf(scope)
  const rows = { held: 0, charged: 0, released: 0, unresolved: 0 }
  for (const { state, rows: count } of states) rows[state] = count
  const isOpen = ({ state }: { state: CallRow['state'] }) => state === 'held' || state === 'unresolved'
  return {
    spent_usd: toUsd(sum(states.map(({ cost }) => cost))),
    held_usd: toUsd(sum(states.filter(isOpen).map(({ held }) => held))),
    rows,
    by_agent: calls.costsBy('agent', scope).map(shown),
    by_model: calls.costsBy('model', scope).map(shown),
    by_service: calls.costsBy('service', scope).map(shown),
    by_hour: calls.costsBy('hour', scope).map(shown),
  }
}

const sum = (amounts: Nanodollars[]): Nanodollars => amounts.reduce((total, amount) => total + amount, 0)

const shown = ({ name, calls, cost }: CostRow): Cost => ({ name, calls, cost_usd: toUsd(cost) })
