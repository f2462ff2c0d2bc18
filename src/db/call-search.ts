/** Finds calls of all agents by what they were, how they ended, and what they cost. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { and, desc, eq, inArray } from 'drizzle-orm'
import type { AgentId, CallId } from '../ids.ts'
import { add, type Nanodollars, ZERO_NANOS } from '../money.ts'
import type { CallRow } from './calls.ts'
import type { Database } from './database.ts'
import { calls } from './schema.ts'

export interface CallSearch {
  agentId?: AgentId
  kind?: CallRow['kind']
  /** Provider or service. */
  target?: string
  model?: string
  /** `failed`: with an error code; `answered`: ended without one. */
  outcome?: 'answered' | 'failed' | 'running' | 'unresolved'
  unit?: string
  minCost?: Nanodollars
  maxCost?: Nanodollars
  /** Bounds of ids, which start with the time: inclusive, exclusive. */
  from?: CallId
  to?: CallId
  sort: 'newest' | 'oldest' | 'cost'
  /** The last call of the previous page. */
  after?: { id: CallId; cost: Nanodollars }
  limit: number
}

/** Keys that are looked at before others get their turn: a few ms, even on a busy machine. */
const MAX_WINDOW_KEYS = 10_000

const ORDERS = { newest: 'id DESC', oldest: 'id ASC', cost: 'cost_nanos DESC, id DESC' } as const

const OUTCOMES = {
  // A call that cost more than it could was answered all the same.
  answered: "state IN ('charged', 'released') AND ifnull(code, 'overrun') = 'overrun'",
  failed: "state IN ('charged', 'released') AND ifnull(code, 'overrun') <> 'overrun'",
  running: "state = 'held'",
  unresolved: "state = 'unresolved'",
} as const

interface Key {
  id: CallId
  cost_nanos: Nanodollars
}

export type Bounds = { low: CallId; high: CallId }

export type CallSearchTable = ReturnType<typeof callSearchTable>

export function callSearchTable({ orm }: Database) {
  const edgeAfter = orm.$client.prepare<{ low: CallId }, Pick<Key, 'id'>>(
    `SELECT id FROM calls INDEXED BY calls_search WHERE id >= :low ORDER BY id LIMIT 1 OFFSET ${MAX_WINDOW_KEYS}`,
  )
  const costsIn = orm.$client.prepare<object, { name: string; calls: number; nanos: Nanodollars }>(
    `SELECT ifnull(model, target) AS name, count(*) AS calls, sum(cost_nanos) AS nanos
     FROM calls INDEXED BY calls_search
     WHERE id >= :low AND id < :high AND (:agentId IS NULL OR agent_id = :agentId) AND cost_nanos <> 0 GROUP BY 1`,
  )
  /** Every MAX_WINDOW_KEYS-th key when it was read, oldest first: calls are only added, nearly always at the end. */
  const edges: CallId[] = []

  /** Windows of a few thousand keys, in the order in which they are searched. */
  async function windowsOf({ low, high }: Bounds, isOldestFirst: boolean): Promise<Bounds[]> {
    for (;;) {
      const edge = edgeAfter.get({ low: edges.at(-1) ?? FIRST })?.id
      if (edge === undefined) break
      edges.push(edge)
      await nextTurn()
    }
    const borders = [low, ...edges.filter((edge) => edge > low && edge < high), high]
    const windows = borders.slice(1).map((border, index) => ({ low: borders[index]!, high: border }))
    return isOldestFirst ? windows : windows.reverse()
  }

  /** Returns the function that finds keys in one window; `floor`: the lowest cost. (Default: any.) */
  function keysOf(search: CallSearch) {
    // An agent's calls alone are next to each other in the table; everything else is in one index.
    const index = isOnlyByAgent(search) ? 'NOT INDEXED' : 'INDEXED BY calls_search'
    const statement = orm.$client.prepare<object, Key>(
      `SELECT id, cost_nanos FROM calls ${index}
       WHERE id >= :low AND id < :high AND (:floor IS NULL OR cost_nanos >= :floor)${conditionsOf(search)}
       ORDER BY ${ORDERS[search.sort]} LIMIT :limit`,
    )
    const parameters = parametersOf(search)
    return (bounds: Bounds, limit: number, floor: Nanodollars | null = null): Key[] =>
      statement.all({ ...parameters, ...bounds, floor, limit })
  }

  async function findKeys(search: CallSearch): Promise<Key[]> {
    const { sort, limit } = search
    const bounds = boundsOf(search)
    const keysIn = keysOf(search)
    if (isOnlyByAgent(search)) return keysIn(bounds, limit)
    let found: Key[] = []
    for (const window of await windowsOf(bounds, sort === 'oldest')) {
      if (sort === 'cost') {
        const floor = found.length === limit ? found.at(-1)!.cost_nanos : null
        const keys = keysIn(window, limit, floor)
        if (keys.length > 0) found = [...found, ...keys].sort(highestFirst).slice(0, limit)
      } else {
        found.push(...keysIn(window, limit - found.length))
        if (found.length === limit) break
      }
      await nextTurn()
    }
    return found
  }

  return {
    /** A page of calls. Yields between windows, as a search may match few of very many. */
    async find(search: CallSearch): Promise<CallRow[]> {
      const ids = (await findKeys(search)).map(({ id }) => id)
      const rows = orm.select().from(calls).where(inArray(calls.id, ids)).all()
      const byId = new Map(rows.map((row) => [row.id, row]))
      return ids.flatMap((id) => byId.get(id) ?? [])
    },

    /** What the calls between two ids cost, by model, else by service. Yields between windows. */
    async costs(
      bounds: Bounds,
      agentId: AgentId | undefined,
    ): Promise<{ name: string; calls: number; nanos: Nanodollars }[]> {
      const costs = new Map<string, { name: string; calls: number; nanos: Nanodollars }>()
      for (const window of await windowsOf(bounds, true)) {
        for (const { name, calls, nanos } of costsIn.all({ ...window, agentId: agentId ?? null })) {
          const known = costs.get(name)
          costs.set(name, { name, calls: calls + (known?.calls ?? 0), nanos: add(nanos, known?.nanos ?? ZERO_NANOS) })
        }
        await nextTurn()
      }
      return [...costs.values()].sort((a, b) => b.nanos - a.nanos)
    },

    /** A call of any agent, with its corrections, newest first. */
    get(id: CallId): { call: CallRow; corrections: CallRow[] } | undefined {
      const call = orm.select().from(calls).where(eq(calls.id, id)).get()
      if (!call) return undefined
      const corrections = orm
        .select()
        .from(calls)
        .where(and(eq(calls.agent_id, call.agent_id), eq(calls.corrects, id)))
        .orderBy(desc(calls.id))
        .all()
      return { call, corrections }
    },
  }
}

/** The key after this one: keys have no character below a space. */
const after = (id: CallId): CallId => `${id} ` as CallId

const highestFirst = (a: Key, b: Key): number => b.cost_nanos - a.cost_nanos || (b.id < a.id ? -1 : 1)

/** Before and after every id. */
const FIRST = '' as CallId
const LAST = '\uffff' as CallId

function boundsOf({ sort, from = FIRST, to = LAST, after: last }: CallSearch): Bounds {
  if (!last || sort === 'cost') return { low: from, high: to }
  return sort === 'newest'
    ? { low: from, high: last.id < to ? last.id : to }
    : { low: last.id < from ? from : after(last.id), high: to }
}

const isOnlyByAgent = ({ agentId, kind, target, model, outcome, unit, minCost, maxCost, sort }: CallSearch): boolean =>
  agentId !== undefined &&
  sort !== 'cost' &&
  [kind, target, model, outcome, unit, minCost, maxCost].every((filter) => filter === undefined)

function conditionsOf({ outcome, sort, after: last, ...search }: CallSearch): string {
  const conditions = [
    search.agentId !== undefined && 'agent_id = :agentId',
    search.kind !== undefined && 'kind = :kind',
    search.target !== undefined && 'target = :target',
    search.model !== undefined && 'model = :model',
    search.unit !== undefined && 'unit = :unit',
    search.minCost !== undefined && 'cost_nanos >= :minCost',
    search.maxCost !== undefined && 'cost_nanos <= :maxCost',
    outcome && OUTCOMES[outcome],
    last && sort === 'cost' && '(cost_nanos < :afterCost OR (cost_nanos = :afterCost AND id < :afterId))',
  ]
  return conditions.flatMap((condition) => (condition ? ` AND ${condition}` : [])).join('')
}

const parametersOf = ({ agentId, kind, target, model, unit, minCost, maxCost, after: last }: CallSearch) => ({
  agentId,
  kind,
  target,
  model,
  unit,
  minCost,
  maxCost,
  afterCost: last?.cost,
  afterId: last?.id,
})
