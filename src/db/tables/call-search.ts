/** Finds calls of all agents by kind, outcome and cost. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { eq, inArray } from 'drizzle-orm'
import type { AgentId, CallId } from '../../core/ids.ts'
import { add, type Nanodollars, ZERO_NANOS } from '../../core/money.ts'
import type { Database } from '../database.ts'
import { type Bounds, boundsOf, type CallSearch, callKeys, FIRST, type Key, MAX_WINDOW_KEYS } from './call-keys.ts'
import type { CallRow } from './calls.ts'
import { ledger } from './schema.ts'

export function callSearchTable(database: Database) {
  const { orm } = database
  const { directPlaceOf, keysOf, firstKeys } = callKeys(database)
  const edgeAfter = orm.$client.prepare<{ low: CallId }, Pick<Key, 'id'>>(
    `SELECT id FROM calls INDEXED BY calls_search WHERE id >= :low ORDER BY id LIMIT 1 OFFSET ${MAX_WINDOW_KEYS}`,
  )
  const costsIn = orm.$client.prepare<object, { name: string; calls: number; nanos: Nanodollars }>(
    `SELECT ifnull(model, target) AS name, sum(kind <> 'correction') AS calls, sum(cost_nanos) AS nanos
     FROM calls INDEXED BY calls_search
     WHERE id >= :low AND id < :high AND (:agentId IS NULL OR agent_id = :agentId) AND cost_nanos <> 0 GROUP BY 1`,
  )
  // By name: SQLite would rather read all calls of the agent.
  const correctionsOf = orm.$client
    .prepare<[AgentId, CallId], CallId>(
      'SELECT id FROM calls INDEXED BY calls_corrections WHERE agent_id = ? AND corrects = ? ORDER BY id DESC',
    )
    .pluck()
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

  async function findKeys(search: CallSearch): Promise<Key[]> {
    const { sort, limit } = search
    const bounds = boundsOf(search)
    const direct = directPlaceOf(search)
    if (direct) return keysOf(search, direct)(bounds, limit)
    if (sort !== 'cost') {
      const first = firstKeys(search)
      if (first.length === limit) return first
    }
    const keysIn = keysOf(search, 'all')
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
      return rowsOf(
        database,
        (await findKeys(search)).map(({ id }) => id),
      )
    },

    /** The cost of the calls between two ids, by model, else by service. Yields between windows. */
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
      const call = orm.select().from(ledger).where(eq(ledger.id, id)).get()
      if (!call) return undefined
      return { call, corrections: rowsOf(database, correctionsOf.all(call.agent_id, id)) }
    },
  }
}

/** In the order of these ids. */
function rowsOf({ orm }: Database, ids: readonly CallId[]): CallRow[] {
  if (ids.length === 0) return []
  const rows = orm
    .select()
    .from(ledger)
    .where(inArray(ledger.id, [...ids]))
    .all()
  const byId = new Map(rows.map((row) => [row.id, row]))
  return ids.flatMap((id) => byId.get(id) ?? [])
}

const highestFirst = (a: Key, b: Key): number => b.cost_nanos - a.cost_nanos || (b.id < a.id ? -1 : 1)
