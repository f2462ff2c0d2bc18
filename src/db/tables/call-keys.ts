/** The statements that find the keys of calls, and where each search looks for them. */
import type { AgentId, CallId } from '../../core/ids.ts'
import type { Nanodollars } from '../../core/money.ts'
import type { Database } from '../database.ts'
import { type CallRow, LAST } from './calls.ts'

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
export const MAX_WINDOW_KEYS = 10_000

const ORDERS = { newest: 'id DESC', oldest: 'id ASC', cost: 'cost_nanos DESC, id DESC' } as const

const OUTCOMES = {
  // A call that cost more than it could was answered all the same.
  answered: "state IN ('charged', 'released') AND ifnull(code, 'overrun') = 'overrun'",
  failed: "state IN ('charged', 'released') AND ifnull(code, 'overrun') <> 'overrun'",
  running: "state = 'held'",
  unresolved: "state = 'unresolved'",
} as const

export interface Key {
  id: CallId
  cost_nanos: Nanodollars
}

const COLUMNS = 'id, agent_id, kind, target, model, state, code, unit, cost_nanos'
const RUNNING = `SELECT ${COLUMNS} FROM running_calls`
const ended = (index: string) => `SELECT ${COLUMNS} FROM calls ${index}`

/** Where keys are looked for: the calls in an index, and running ones, which are in none. */
const KEYS = {
  agent: `${ended('NOT INDEXED')} UNION ALL ${RUNNING}`,
  all: `${ended('INDEXED BY calls_search')} UNION ALL ${RUNNING}`,
  failed: ended('INDEXED BY calls_failed WHERE code IS NOT NULL'),
  unresolved: ended("INDEXED BY calls_unresolved WHERE state = 'unresolved'"),
  running: RUNNING,
} as const
type Place = keyof typeof KEYS

export type Bounds = { low: CallId; high: CallId }

export function callKeys({ orm }: Database) {
  const few = (calls: string) =>
    orm.$client
      .prepare<object, 0 | 1>(
        `SELECT count(*) < ${MAX_WINDOW_KEYS} FROM (SELECT 1 FROM ${calls} LIMIT ${MAX_WINDOW_KEYS})`,
      )
      .pluck()
  const isFew = {
    agent: few('calls NOT INDEXED WHERE agent_id = :agentId'),
    failed: few('calls INDEXED BY calls_failed WHERE code IS NOT NULL'),
  }
  /** Where there are at most MAX_WINDOW_KEYS calls, or where the page is found at once; null without such a place. */
  function directPlaceOf(search: CallSearch): Place | null {
    const { agentId, outcome, sort } = search
    const isFiltered = FILTERS.some((name) => search[name] !== undefined)
    if (!isFiltered && sort !== 'cost') return agentId === undefined ? 'all' : 'agent'
    if (outcome === 'running' || outcome === 'unresolved') return outcome
    if (agentId !== undefined && isFew.agent.get({ agentId })) return 'agent'
    return outcome === 'failed' && isFew.failed.get({}) ? 'failed' : null
  }

  /** Returns the function that finds keys in one window; `floor`: the lowest cost. (Default: any.) */
  function keysOf(search: CallSearch, place: Place) {
    const statement = orm.$client.prepare<object, Key>(
      `SELECT id, cost_nanos FROM (${KEYS[place]})
       WHERE id >= :low AND id < :high AND (:floor IS NULL OR cost_nanos >= :floor)${conditionsOf(search)}
       ORDER BY ${ORDERS[search.sort]} LIMIT :limit`,
    )
    const parameters = parametersOf(search)
    return (bounds: Bounds, limit: number, floor: Nanodollars | null = null): Key[] =>
      statement.all({ ...parameters, ...bounds, floor, limit })
  }

  /** The page, if it is among the first MAX_WINDOW_KEYS calls in the order of the search, by time; else a part of it. */
  function firstKeys(search: CallSearch): Key[] {
    const order = ORDERS[search.sort]
    const statement = orm.$client.prepare<object, Key>(
      `SELECT id, cost_nanos FROM (
         SELECT * FROM (${KEYS.all}) WHERE id >= :low AND id < :high ORDER BY ${order} LIMIT ${MAX_WINDOW_KEYS}
       ) WHERE true${conditionsOf(search)} ORDER BY ${order} LIMIT :limit`,
    )
    return statement.all({ ...parametersOf(search), ...boundsOf(search), limit: search.limit })
  }

  return { directPlaceOf, keysOf, firstKeys }
}

/** The key after this one: keys have no character below a space. */
const after = (id: CallId): CallId => `${id} ` as CallId

/** Before every id. */
export const FIRST = '' as CallId

export function boundsOf({ sort, from = FIRST, to = LAST, after: last }: CallSearch): Bounds {
  if (!last || sort === 'cost') return { low: from, high: to }
  return sort === 'newest'
    ? { low: from, high: last.id < to ? last.id : to }
    : { low: last.id < from ? from : after(last.id), high: to }
}

/** Everything but the agent, whose calls are next to each other in the table. */
const FILTERS = ['kind', 'target', 'model', 'outcome', 'unit', 'minCost', 'maxCost'] as const

function conditionsOf(search: CallSearch): string {
  const { outcome } = search
  const conditions = [
    search.agentId !== undefined && 'agent_id = :agentId',
    search.kind !== undefined && 'kind = :kind',
    search.target !== undefined && 'target = :target',
    search.model !== undefined && 'model = :model',
    search.unit !== undefined && 'unit = :unit',
    search.minCost !== undefined && 'cost_nanos >= :minCost',
    search.maxCost !== undefined && 'cost_nanos <= :maxCost',
    outcome && OUTCOMES[outcome],
  ]
  return conditions.flatMap((condition) => (condition ? ` AND ${condition}` : [])).join('') + afterOf(search)
}

/** Of the order by cost: others continue by their bounds. */
const afterOf = ({ sort, after: last }: CallSearch): string =>
  last && sort === 'cost' ? ' AND (cost_nanos, id) < (:afterCost, :afterId)' : ''

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
