/**
 * Cost report of one agent, or of all: read from the ledger in one pass, so that its parts add up to the amounts in the
 * ledger, the snapshot and the budget, to the nanodollar. A long ledger is read in slices, so that calls in the
 * meantime do not wait for it.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Tags } from '../config/tags.ts'
import { type AgentId, toAgentId } from '../core/ids.ts'
import { add, type Nanodollars, toUsd, type Usd, ZERO_NANOS } from '../core/money.ts'
import type { CallRow, CallTable, CostRow, LedgerScope } from '../db/tables/calls.ts'
import { showTag } from '../state/figures-text.ts'

export interface CostReport {
  /** Lifetime total with corrections: the sum of by_agent, of by_hour, and of by_model plus by_service. */
  spent_usd: Usd
  /** By running calls and by calls that a killed server left open. */
  held_usd: Usd
  rows: Record<CallRow['state'], number>
  by_agent: Cost[]
  by_model: Cost[]
  by_service: Cost[]
  /** By the tags of agents, such as "customer=acme". A cost counts toward each tag of its agent. */
  by_tag: Cost[]
  /**
   * "2026-01-02T03:00Z", the hour in which a cost counts, oldest first; the other lists start with the highest cost.
   */
  by_hour: Cost[]
}

export interface Cost {
  name: string
  /**
   * Those that were charged: calls that were refused, cost nothing or still run are left out, and so are corrections.
   */
  calls: number
  cost_usd: Usd
}

/** A few ms of reading, even on a busy machine. */
const PIECE_ROWS = 500

/** Of models, services and tags: agents can use any number of names. */
const MAX_NAMES = 200

/** The tags of an agent, however long ago it ran. */
export type TagsOf = (id: AgentId) => Tags | undefined

/** Agents whose tags are looked up at once: each is a row to read. */
const PIECE_AGENTS = 50

export async function costReport(calls: CallTable, scope: LedgerScope, tagsOf: TagsOf): Promise<CostReport> {
  const rows = { held: 0, charged: 0, released: 0, unresolved: 0 }
  const [byAgent, byModel, byService, byHour] = [new Sums(), new Sums(), new Sums(), new Sums()]
  let spent = ZERO_NANOS
  let held = ZERO_NANOS
  for (let after: CostRow | undefined; ; await nextTurn()) {
    const piece = calls.costs({ ...scope, after, limit: PIECE_ROWS })
    for (const row of piece) {
      rows[row.state] += 1
      if (row.state === 'held' || row.state === 'unresolved') held = add(held, row.held_nanos)
      if (row.state !== 'charged') continue
      spent = add(spent, row.cost_nanos)
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
    by_tag: (await byTag(byAgent, tagsOf)).byCost(MAX_NAMES),
    by_hour: byHour.inOrder(),
  }
}

async function byTag(byAgent: Sums, tagsOf: TagsOf): Promise<Sums> {
  const sums = new Sums()
  let read = 0
  for (const { name, calls, cost } of byAgent) {
    for (const tag of Object.entries(tagsOf(toAgentId(name)) ?? {})) sums.addSum(showTag(tag), calls, cost)
    read += 1
    if (read % PIECE_AGENTS === 0) await nextTurn()
  }
  return sums
}

interface Sum {
  name: string
  calls: number
  cost: Nanodollars
}

/** Sums of costs by name. */
class Sums implements Iterable<Sum> {
  readonly #byName = new Map<string, Sum>()

  add(name: string, { kind, cost_nanos }: CostRow): void {
    this.addSum(name, kind === 'correction' ? 0 : 1, cost_nanos)
  }

  addSum(name: string, calls: number, cost: Nanodollars): void {
    const sum = this.#byName.get(name) ?? { name, calls: 0, cost: ZERO_NANOS }
    this.#byName.set(name, sum)
    sum.calls += calls
    sum.cost = add(sum.cost, cost)
  }

  [Symbol.iterator](): Iterator<Sum> {
    return this.#byName.values()
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

const shown = ({ name, calls, cost }: Sum): Cost => ({
  name,
  calls,
  cost_usd: toUsd(cost),
})
