/**
 * The cost of calls, by day, machine and model or agent: added up as events arrive, each event once, so that it
 * outlasts them.
 */
import type { RuntimeEvent } from '../../core/events.ts'
import { fromUsd, MAX_NANOS, type Nanodollars } from '../../core/money.ts'
import type { Dialect, Sql, Value } from '../db/database.ts'
import { insert } from '../db/insert.ts'
import { TEXT_TABLES } from '../db/personal-columns.ts'
import { storable } from '../storable.ts'

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

/** A runtime's report, of which anything can be missing or wrong. */
interface Report {
  runtimeId: string
  events: readonly RuntimeEvent[]
  /** When, by the database's clock. */
  receivedAt: number
}

const MAX_NAME = 200

/** Whether a runtime's text can be compared with others as a time. */
export const isTime = (text: string): boolean => /^\d{4}-\d\d-\d\dT[\d:.]{8,12}Z$/.test(text)

const nameOf = (text: string): string => storable(text.slice(0, MAX_NAME))

/**
 * Adds the costs of the events of several runtimes, in one statement for each sum. What cannot be read is left out: a
 * runtime may be of another version, or broken.
 */
export async function addSpending(
  sql: Sql,
  dialect: Dialect,
  organizationId: string,
  reports: readonly Report[],
): Promise<void> {
  const costs = reports.flatMap(({ runtimeId, events }) =>
    events.flatMap((event) => {
      const found = costOf(event)
      if (!found || !isTime(found.at) || typeof found.model !== 'string' || !(Math.abs(found.cost) <= MAX_NANOS))
        return []
      const { at, model, calls, cost } = found
      return [{ runtimeId, agentId: event.agent_id ?? '', day: at.slice(0, 10), model: nameOf(model), calls, cost }]
    }),
  )
  await keepAgentNames(sql, organizationId, reports)
  const names = await agentNames(sql, dialect, costs)
  const rowsBy = (column: string, named: (cost: (typeof costs)[number]) => string): Record<string, Value>[] => {
    const sums = new Map<string, { row: Record<string, Value>; calls: number; nanos: bigint }>()
    for (const each of costs) {
      const [runtime_id, day, name] = [each.runtimeId, each.day, named(each)]
      const key = `${runtime_id} ${day} ${name}`
      const row = { organization_id: organizationId, runtime_id, day, [column]: name }
      const sum = sums.get(key) ?? { row, calls: 0, nanos: 0n }
      sums.set(key, { row, calls: sum.calls + each.calls, nanos: sum.nanos + BigInt(each.cost) })
    }
    return [...sums.values()].map(({ row, calls, nanos }) => ({ ...row, calls, cost_nanos: String(nanos) }))
  }
  const byModel = rowsBy('model', ({ model }) => model)
  const byAgent = rowsBy('agent', ({ runtimeId, agentId }) => names.get(`${runtimeId} ${agentId}`) ?? '')
  await insert(sql, 'spending', byModel, addUp('spending'))
  await insert(sql, 'agent_spending', byAgent, addUp('agent_spending'))
}

/** Keeps the names of agents that have started. */
async function keepAgentNames(sql: Sql, organization_id: string, reports: readonly Report[]): Promise<void> {
  const started = new Map<string, Record<string, Value>>()
  for (const { runtimeId: runtime_id, events, receivedAt: started_at } of reports) {
    for (const { type, agent_id, data } of events) {
      if (type !== 'agent.started' || !agent_id || typeof data.name !== 'string') continue
      const row = { organization_id, runtime_id, agent_id, name: nameOf(data.name), started_at }
      started.set(`${runtime_id} ${agent_id}`, row)
    }
  }
  await insert(
    sql,
    'agent_names',
    [...started.values()],
    () => ' ON CONFLICT (runtime_id, agent_id) DO UPDATE SET name = excluded.name, started_at = excluded.started_at',
  )
}

/** The names of agents by the ids of their runtimes and their own, as far as they are known. */
async function agentNames(
  sql: Sql,
  { isIn }: Dialect,
  agents: readonly { runtimeId: string; agentId: string }[],
): Promise<Map<string, string>> {
  if (agents.length === 0) return new Map()
  const list = (ids: string[]) => JSON.stringify([...new Set(ids)])
  const rows = await sql.rows<{ runtime_id: string; agent_id: string; name: string }>(
    `SELECT runtime_id, agent_id, name FROM agent_names WHERE ${isIn('runtime_id', '$1')} AND ${isIn('agent_id', '$2')}`,
    [list(agents.map(({ runtimeId }) => runtimeId)), list(agents.map(({ agentId }) => agentId))],
  )
  return new Map(rows.map(({ runtime_id, agent_id, name }) => [`${runtime_id} ${agent_id}`, name]))
}

/** How a row with the key of another one is merged: its sums are added to those of the other. */
export function addUp(table: string): () => string {
  const { key, sums = [] } = TEXT_TABLES[table]!
  return () =>
    ` ON CONFLICT (${key.join()}) DO UPDATE SET ${sums.map((sum) => `${sum} = ${table}.${sum} + excluded.${sum}`).join()}`
}

function costOf(event: RuntimeEvent): Cost | undefined {
  try {
    switch (event.type) {
      case 'call.completed':
        return { at: event.at, model: event.data.model, calls: 1, cost: fromUsd(event.data.cost_usd) }
      case 'call.failed': {
        // Only a charged amount is a call of that cost.
        const { model, cost_usd } = event.data
        return { at: event.at, model, calls: fromUsd(cost_usd) > 0 ? 1 : 0, cost: fromUsd(cost_usd) }
      }
      case 'service.called':
        return { at: event.at, model: event.data.service, calls: 1, cost: fromUsd(event.data.cost_usd) }
      case 'call.corrected': {
        const { charged_at: at, model, target, difference_usd } = event.data
        return { at, model: model ?? target, calls: 0, cost: fromUsd(difference_usd) }
      }
      case 'call.resolved': {
        const { model, target, cost_usd, outcome } = event.data
        return { at: event.at, model: model ?? target, calls: outcome === 'charged' ? 1 : 0, cost: fromUsd(cost_usd) }
      }
      default:
        return undefined
    }
  } catch {
    return undefined
  }
}

/** The spending since `day`, oldest first. The name is '' for what belongs to no agent, team or user. */
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
