import { and, desc, eq, lt, sql, sum } from 'drizzle-orm'
import type { Nanodollars } from '../money.ts'
import type { Database } from './database.ts'
import { calls } from './schema.ts'

export type CallRow = typeof calls.$inferSelect
export type CallKind = CallRow['kind']

/** What a call's row gets when it ends. */
export interface CallEnd {
  agent_id: string
  id: string
  state: 'charged' | 'released'
  cost_nanos: Nanodollars
  estimated: boolean
  price: unknown
  usage: unknown
  status: number | null
  code: string | null
  ended_at: string
}

export type CallTable = ReturnType<typeof callTable>

export function callTable({ orm }: Database) {
  const insert = orm
    .insert(calls)
    .values({
      id: sql.placeholder('id'),
      agent_id: sql.placeholder('agent_id'),
      run_id: sql.placeholder('run_id'),
      kind: sql.placeholder('kind'),
      target: sql.placeholder('target'),
      model: sql.placeholder('model'),
      state: 'held',
      held_nanos: sql.placeholder('held_nanos'),
      started_at: sql.placeholder('started_at'),
    })
    .prepare()
  const end = orm
    .update(calls)
    .set({
      state: sql`${sql.placeholder('state')}`,
      cost_nanos: sql`${sql.placeholder('cost_nanos')}`,
      estimated: sql`${sql.placeholder('estimated')}`,
      price: sql`${sql.placeholder('price')}`,
      usage: sql`${sql.placeholder('usage')}`,
      status: sql`${sql.placeholder('status')}`,
      code: sql`${sql.placeholder('code')}`,
      ended_at: sql`${sql.placeholder('ended_at')}`,
    })
    .where(
      and(
        eq(calls.agent_id, sql.placeholder('agent_id')),
        eq(calls.id, sql.placeholder('id')),
        eq(calls.state, 'held'),
      ),
    )
    .prepare()

  return {
    insertHeld: (
      row: Pick<CallRow, 'id' | 'agent_id' | 'run_id' | 'kind' | 'target' | 'model' | 'held_nanos' | 'started_at'>,
    ): void => void insert.run({ ...row }),

    /** Ends a held call. Returns false when it had ended already. */
    end: (row: CallEnd): boolean =>
      end.run({
        ...row,
        estimated: row.estimated ? 1 : 0,
        price: JSON.stringify(row.price),
        usage: JSON.stringify(row.usage),
      }).changes === 1,

    /** What an agent has spent, and what calls that never ended still hold. */
    totals(agentId: string): { spent: Nanodollars; held: Nanodollars } {
      const row = orm
        .select({
          spent: sum(calls.cost_nanos).mapWith(Number),
          held: sql<number>`sum(CASE WHEN ${calls.state} IN ('held', 'unresolved') THEN ${calls.held_nanos} ELSE 0 END)`,
        })
        .from(calls)
        .where(eq(calls.agent_id, agentId))
        .get()
      return { spent: row?.spent ?? 0, held: row?.held ?? 0 }
    },

    /** Marks what a killed server left open, and returns those rows. */
    markUnresolved: (at: string): CallRow[] =>
      orm
        .update(calls)
        .set({ state: 'unresolved', code: 'server_ended', ended_at: at })
        .where(eq(calls.state, 'held'))
        .returning()
        .all(),

    /** An agent's calls, newest first; `before`: the id of the last one of the page before. */
    find({ agentId, limit, before }: { agentId: string; limit: number; before?: string }): CallRow[] {
      return orm
        .select()
        .from(calls)
        .where(and(eq(calls.agent_id, agentId), before === undefined ? undefined : lt(calls.id, before)))
        .orderBy(desc(calls.id))
        .limit(limit)
        .all()
    },
  }
}
