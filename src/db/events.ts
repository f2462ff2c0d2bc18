import { and, asc, desc, eq, gt, inArray, lt, lte, max } from 'drizzle-orm'
import type { Level, RuntimeEvent } from '../events.ts'
import type { Database } from './database.ts'
import { events } from './schema.ts'

export interface EventQuery {
  /** Only events after this `seq`, oldest first. */
  after?: number
  /** Only events before this `seq`, newest first. Without `after` and `before`: the newest, newest first. */
  before?: number
  agentId?: string
  level?: Level[]
  type?: string
  /** At most this many. */
  limit: number
}

export type EventTable = ReturnType<typeof eventTable>

export function eventTable({ orm }: Pick<Database, 'orm'>) {
  // Every event runs it: as SQL, since the query builder's own part is more work than SQLite's.
  const insert = orm.$client.prepare(
    `INSERT INTO events (seq, at, agent_id, level, type, message, data)
     VALUES (:seq, :at, :agent_id, :level, :type, :message, :data)`,
  )

  return {
    insert: (event: RuntimeEvent): void => void insert.run({ ...event, data: JSON.stringify(event.data) }),

    lastSeq: (): number =>
      orm
        .select({ seq: max(events.seq) })
        .from(events)
        .get()?.seq ?? 0,

    find({ after, before, agentId, level, type, limit }: EventQuery): RuntimeEvent[] {
      const rows = orm
        .select()
        .from(events)
        .where(
          and(
            after === undefined ? undefined : gt(events.seq, after),
            before === undefined ? undefined : lt(events.seq, before),
            agentId === undefined ? undefined : eq(events.agent_id, agentId),
            level === undefined ? undefined : inArray(events.level, level),
            type === undefined ? undefined : eq(events.type, type),
          ),
        )
        .orderBy(after === undefined ? desc(events.seq) : asc(events.seq))
        .limit(limit)
        .all()
      return rows as RuntimeEvent[]
    },

    /** Forgets events up to `seq`, however young. */
    pruneUpTo: (seq: number): void => void orm.delete(events).where(lte(events.seq, seq)).run(),

    /** Forgets events up to `seq` that are older than `at`. */
    prune: (seq: number, at: string): void =>
      void orm
        .delete(events)
        .where(and(lte(events.seq, seq), lt(events.at, at)))
        .run(),
  }
}
