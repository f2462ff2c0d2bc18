import { and, desc, eq, isNull, max } from 'drizzle-orm'
import type { RunId } from '../../core/ids.ts'
import type { Database } from '../database.ts'
import { runs } from './schema.ts'

export type RunRow = typeof runs.$inferSelect
export type NewRun = Omit<RunRow, 'ended_at' | 'exit_code' | 'signal'>
export type RunTable = ReturnType<typeof runTable>

/** One row for each run of an agent. */
export function runTable({ orm }: Pick<Database, 'orm'>) {
  return {
    insert: (run: NewRun): void => void orm.insert(runs).values(run).run(),

    /** The end of a run is set once. */
    end(id: RunId, end: Pick<RunRow, 'ended_at' | 'exit_code' | 'signal'>): void {
      orm
        .update(runs)
        .set(end)
        .where(and(eq(runs.id, id), isNull(runs.ended_at)))
        .run()
    },

    /** The agents that ran last, the latest first. */
    latestAgents: (limit: number): Pick<RunRow, 'agent_id' | 'name'>[] =>
      orm
        .select({ agent_id: runs.agent_id, name: runs.name })
        .from(runs)
        .groupBy(runs.agent_id)
        .orderBy(desc(max(runs.started_at)))
        .limit(limit)
        .all(),

    /** Runs without an end: those that are alive, and after a start those of a server that was killed. */
    findOpen: (): RunRow[] => orm.select().from(runs).where(isNull(runs.ended_at)).all(),
  }
}
