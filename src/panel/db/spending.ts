/** What calls cost, by day, machine and model: added up as events arrive, each event once, so that it outlasts them. */
import type { RuntimeEvent } from '../../events.ts'
import { add, fromUsd, MAX_NANOS, type Nanodollars, ZERO_NANOS } from '../../money.ts'
import type { Dialect, Sql } from './database.ts'
import { insert } from './insert.ts'

/** By what spending can be divided. */
export const DIMENSIONS = ['model', 'team', 'user', 'machine'] as const
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

const MAX_NAME = 200

/** Whether a runtime's text can be compared with others as a time. */
export const isTime = (text: string): boolean => /^\d{4}-\d\d-\d\dT[\d:.]{8,12}Z$/.test(text)

/** Adds what the events cost. What cannot be read is left out: a runtime may be of another version, or broken. */
export async function addSpending(
  sql: Sql,
  { organizationId, runtimeId }: { organizationId: string; runtimeId: string },
  events: readonly RuntimeEvent[],
): Promise<void> {
  const sums = new Map<string, Omit<Cost, 'at'> & { day: string }>()
  for (const event of events) {
    const found = costOf(event)
    if (!found || !isTime(found.at) || typeof found.model !== 'string' || !(Math.abs(found.cost) <= MAX_NANOS)) continue
    const [day, model] = [found.at.slice(0, 10), found.model.replaceAll('\0', '').slice(0, MAX_NAME)]
    const { calls, cost } = sums.get(`${day} ${model}`) ?? { calls: 0, cost: ZERO_NANOS }
    sums.set(`${day} ${model}`, { day, model, calls: calls + found.calls, cost: add(cost, found.cost) })
  }
  const rows = [...sums.values()].map(({ day, model, calls, cost }) => {
    return { organization_id: organizationId, runtime_id: runtimeId, day, model, calls, cost_nanos: cost }
  })
  await addUp(sql, rows)
}

export interface StoredSpending {
  organization_id: string
  runtime_id: string
  day: string
  model: string
  calls: number
  cost_nanos: Nanodollars
}

/** Adds rows to those with the same key. */
export const addUp = (sql: Sql, rows: readonly StoredSpending[]): Promise<void> =>
  insert(
    sql,
    'spending',
    rows,
    () => ` ON CONFLICT (runtime_id, day, model) DO UPDATE SET
      calls = spending.calls + excluded.calls, cost_nanos = spending.cost_nanos + excluded.cost_nanos`,
  )

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

/** What was spent since `day`, oldest first. The name is '' for what belongs to no team or user. */
export async function readSpending(
  sql: Sql,
  dialect: Dialect,
  organizationId: string,
  { since, by }: { since: string; by: Dimension },
): Promise<Spent[]> {
  const { name, join } = partsOf(by, dialect)
  const rows = await sql.rows<{ day: string; name: string; calls: string; cost: string }>(
    `SELECT day, ${name} AS name, CAST(sum(calls) AS TEXT) AS calls, CAST(sum(cost_nanos) AS TEXT) AS cost
     FROM spending ${join} WHERE spending.organization_id = $1 AND day >= $2 GROUP BY day, ${name} ORDER BY day, ${name}`,
    [organizationId, since],
  )
  return rows.map(({ calls, cost, ...row }) => ({ ...row, calls: Number(calls), cost: BigInt(cost) }))
}

function partsOf(by: Dimension, { isIn }: Dialect): { name: string; join: string } {
  if (by === 'model') return { name: 'model', join: '' }
  const machines = 'JOIN runtimes ON runtimes.id = spending.runtime_id'
  if (by === 'machine') return { name: 'runtimes.name', join: machines }
  const budgets = `LEFT JOIN budgets ON budgets.scope = '${by}' AND ${isIn('budgets.id', 'runtimes.path')}`
  return { name: "coalesce(budgets.name, '')", join: `${machines} ${budgets}` }
}
