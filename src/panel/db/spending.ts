/** What calls cost, by day, machine and model or agent: added up as events arrive, each event once, so that it outlasts them. */
import type { RuntimeEvent } from '../../events.ts'
import { add, fromUsd, MAX_NANOS, type Nanodollars, ZERO_NANOS } from '../../money.ts'
import type { Dialect, Sql, Value } from './database.ts'
import { insert } from './insert.ts'

/** By what spending can be divided. */
export const DIMENSIONS = ['model', 'agent', 'team', 'user', 'machine'] as const
export type Dimension = (typeof DIMENSIONS)[number]

export interface Spent {
  /** "2026-01-02", UTC. */
  day: string
  name: string
  calls: number
  /** Nanodollars; more than a number can hold when many machines are added up. */
  cost: bigint
}

interface Cost {
  at: string
  model: string
  calls: number
  cost: Nanodollars
}

/** What a runtime reported, of which anything can be missing or wrong. */
interface Owner {
  organizationId: string
  runtimeId: string
}

const MAX_NAME = 200

/** Whether a runtime's text can be compared with others as a time. */
export const isTime = (text: string): boolean => /^\d{4}-\d\d-\d\dT[\d:.]{8,12}Z$/.test(text)

const nameOf = (text: string): string => text.replaceAll('\0', '').slice(0, MAX_NAME)

/** Adds what the events cost. What cannot be read is left out: a runtime may be of another version, or broken. */
export async function addSpending(
  sql: Sql,
  dialect: Dialect,
  owner: Owner,
  events: readonly RuntimeEvent[],
): Promise<void> {
  const costs = events.flatMap((event) => {
    const found = costOf(event)
    if (!found || !isTime(found.at) || typeof found.model !== 'string' || !(Math.abs(found.cost) <= MAX_NANOS))
      return []
    const { at, model, calls, cost } = found
    return [{ day: at.slice(0, 10), model: nameOf(model), agentId: event.agent_id ?? '', calls, cost }]
  })
  const names = await agentNames(sql, dialect, owner, events, new Set(costs.map(({ agentId }) => agentId)))
  const rowsBy = (column: string, named: (cost: (typeof costs)[number]) => string): StoredSpending[] => {
    const sums = new Map<string, StoredSpending>()
    for (const each of costs) {
      const [day, name] = [each.day, named(each)]
      const sum = sums.get(`${day} ${name}`)
      sums.set(`${day} ${name}`, {
        ...{ organization_id: owner.organizationId, runtime_id: owner.runtimeId, day, [column]: name },
        calls: (sum?.calls ?? 0) + each.calls,
        cost_nanos: add(sum?.cost_nanos ?? ZERO_NANOS, each.cost),
      })
    }
    return [...sums.values()]
  }
  await addUp(
    sql,
    'spending',
    rowsBy('model', ({ model }) => model),
  )
  await addUp(
    sql,
    'agent_spending',
    rowsBy('agent', ({ agentId }) => names.get(agentId) ?? ''),
  )
}

/** Keeps the names of agents that have started. Returns those of the agents with these ids, as far as they are known. */
async function agentNames(
  sql: Sql,
  { isIn, now }: Dialect,
  { organizationId, runtimeId }: Owner,
  events: readonly RuntimeEvent[],
  ids: ReadonlySet<string>,
): Promise<Map<string, string>> {
  const started = events.flatMap(({ type, agent_id, data }) =>
    type === 'agent.started' && agent_id && typeof data.name === 'string'
      ? [[agent_id, nameOf(data.name)] as const]
      : [],
  )
  for (const [id, name] of new Map(started)) {
    await sql.rows(
      `INSERT INTO agent_names (organization_id, runtime_id, agent_id, name, started_at) VALUES ($1, $2, $3, $4, ${now})
       ON CONFLICT (runtime_id, agent_id) DO UPDATE SET name = excluded.name, started_at = excluded.started_at`,
      [organizationId, runtimeId, id, name],
    )
  }
  if (ids.size === 0) return new Map()
  const rows = await sql.rows<{ agent_id: string; name: string }>(
    `SELECT agent_id, name FROM agent_names WHERE runtime_id = $1 AND ${isIn('agent_id', '$2')}`,
    [runtimeId, JSON.stringify([...ids])],
  )
  return new Map(rows.map(({ agent_id, name }) => [agent_id, name]))
}

/** By model in `spending`, by agent in `agent_spending`. */
export interface StoredSpending {
  organization_id: string
  runtime_id: string
  day: string
  [column: string]: Value
  calls: number
  cost_nanos: Nanodollars
}

/** What a row does that has the key of another one. */
export const ADD_UP = (table: 'spending' | 'agent_spending'): string =>
  ` ON CONFLICT (runtime_id, day, ${table === 'spending' ? 'model' : 'agent'}) DO UPDATE SET
    calls = ${table}.calls + excluded.calls, cost_nanos = ${table}.cost_nanos + excluded.cost_nanos`

const addUp = (sql: Sql, table: 'spending' | 'agent_spending', rows: readonly StoredSpending[]): Promise<void> =>
  insert(sql, table, rows, () => ADD_UP(table))

function costOf(event: RuntimeEvent): Cost | undefined {
  try {
    switch (event.type) {
      case 'call.completed':
      case 'call.failed':
        return { at: event.at, model: event.data.model, calls: 1, cost: fromUsd(event.data.cost_usd) }
      case 'service.called':
        return { at: event.at, model: event.data.service, calls: 1, cost: fromUsd(event.data.cost_usd) }
      case 'call.corrected': {
        const { charged_at: at, model, target, difference_usd } = event.data
        return { at, model: model ?? target, calls: 0, cost: fromUsd(difference_usd) }
      }
      case 'call.resolved': {
        const { model, target, cost_usd } = event.data
        return { at: event.at, model: model ?? target, calls: 1, cost: fromUsd(cost_usd) }
      }
      default:
        return undefined
    }
  } catch {
    return undefined
  }
}

/** What was spent since `day`, oldest first. The name is '' for what belongs to no agent, team or user. */
export async function readSpending(
  sql: Sql,
  dialect: Dialect,
  organizationId: string,
  { since, by }: { since: string; by: Dimension },
): Promise<Spent[]> {
  const { table, name, join } = partsOf(by, dialect)
  const rows = await sql.rows<{ day: string; name: string; calls: string; cost: string }>(
    `SELECT day, ${name} AS name, CAST(sum(calls) AS TEXT) AS calls, CAST(sum(cost_nanos) AS TEXT) AS cost
     FROM ${table} ${join} WHERE ${table}.organization_id = $1 AND day >= $2 GROUP BY day, ${name} ORDER BY day, ${name}`,
    [organizationId, since],
  )
  return rows.map(({ calls, cost, ...row }) => ({ ...row, calls: Number(calls), cost: BigInt(cost) }))
}

function partsOf(by: Dimension, { isIn }: Dialect): { table: string; name: string; join: string } {
  if (by === 'agent') return { table: 'agent_spending', name: 'agent', join: '' }
  const table = 'spending'
  if (by === 'model') return { table, name: 'model', join: '' }
  const machines = 'JOIN runtimes ON runtimes.id = spending.runtime_id'
  if (by === 'machine') return { table, name: 'runtimes.name', join: machines }
  const budgets = `LEFT JOIN budgets ON budgets.scope = '${by}' AND ${isIn('budgets.id', 'runtimes.path')}`
  return { table, name: "coalesce(budgets.name, '')", join: `${machines} ${budgets}` }
}
