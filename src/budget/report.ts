/**
 * Cost report of one agent, or of all: read from the ledger in one pass, so that its parts add up to the amounts in the
 * ledger, the snapshot and the budget, to the nanodollar. A long ledger is read in slices, so that calls in the
 * meantime do not wait for it.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { CallRow, CallTable, CostRow, LedgerScope } from '../db/calls.ts'
import { add, type Nanodollars, toUsd, type Usd, ZERO_NANOS } from '../money.ts'

export interface CostReport {
  /** Lifetime total with corrections: the sum of by_agent, of by_hour, and of by_model plus by_service. */
  spent_usd: Usd
  /** By running calls and by calls that a killed server left open. */
  held_usd: Usd
  rows: Record<CallRow['state'], number>
  by_agent: Cost[]
  by_model: Cost[]
  by_service: Cost[]
  /**
   * "2026-01-02T03:00Z", the hour in which a cost counts, oldest first; the other lists start with the highest cost.
   */
  by_hour: Cost[]
}

export interface Cost {
  name: string
  /** Without corrections, which are not calls. */
  calls: number
  cost_usd: Usd
}

/** A few ms of reading, even on a busy machine. */
const PIECE_ROWS = 500

/** Of models and of services: agents can use any number of names. */
const MAX_NAMES = 200

export async function costReport(calls: CallTable, scope: LedgerScope): Promise<CostReport> {
  const rows = { held: 0, charged: 0, released: 0, unresolved: 0 }
  const [byAgent, byModel, byService, byHour] = [new Sums(), new Sums(), new Sums(), new Sums()]
  let spent = ZERO_NANOS
  let held = ZERO_NANOS
  for (let after: CostRow | undefined; ; await nextTurn()) {
    const piece = calls.costs({ ...scope, after, limit: PIECE_ROWS })
    for (const row of piece) {
      rows[row.state] += 1
      spent = add(spent, row.cost_nanos)
      if (row.state === 'held' || row.state === 'unresolved') held = add(held, row.held_nanos)
      byAgent.add(row.agent_id, row)
      byHour.add(`${row.counted_at.slice(0, 13)}:00Z`, row)
      // Only LLM calls have a model. A correction is grouped with its call.
      if (row.model === null) byService.add(row.target, row)
      else byModel.add(row.model, row)
    }
    if (piece.length < PIECE_ROWS) break
    after = piece.at(-1)
  }
  return {
    spent_usd: toUsd(spent),
    held_usd: toUsd(held),
    rows,
    by_agent: byAgent.byCost(),
    by_model: byModel.byCost(MAX_NAMES),
    by_service: byService.byCost(MAX_NAMES),
    by_hour: byHour.inOrder(),
  }
}

/** Sums the cost of rows by name. */
class Sums {
  readonly #byName = new Map<string, { name: string; calls: number; cost: Nanodollars }>()

  add(name: string, { kind, cost_nanos }: CostRow): void {
    const sum = this.#byName.get(name) ?? { name, calls: 0, cost: ZERO_NANOS }
    this.#byName.set(name, sum)
    sum.calls += kind === 'correction' ? 0 : 1
    sum.cost = add(sum.cost, cost_nanos)
  }

  inOrder(): Cost[] {
    return [...this.#byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1)).map(shown)
  }

  /** `count`: the rest is summed up as one entry. (Default: all.) */
  byCost(count = Number.POSITIVE_INFINITY): Cost[] {
    const all = [...this.#byName.values()].sort((a, b) => b.cost - a.cost || (a.name < b.name ? -1 : 1))
    const sums = all.slice(0, count)
    const rest = all.slice(count)
    if (rest.length > 0) {
      const calls = rest.reduce((sum, each) => sum + each.calls, 0)
      const cost = add(...rest.map((each) => each.cost))
      sums.push({ name: `${rest.length} others`, calls, cost })
    }
    return sums.map(shown)
  }
}

const shown = ({ name, calls, cost }: { name: string; calls: number; cost: Nanodollars }): Cost => ({
  name,
  calls,
  cost_usd: toUsd(cost),
})
