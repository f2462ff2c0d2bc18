import { setImmediate as nextTurn } from 'node:timers/promises'
import { and, asc, between, desc, eq, gt, inArray, lt, max, min, sql } from 'drizzle-orm'
import { isoTime } from '../../core/clock.ts'
import type { Level, RuntimeEvent } from '../../core/events.ts'
import type { AgentId } from '../../core/ids.ts'
import type { Database } from '../database.ts'
import type { CallRow } from './calls.ts'
import { events } from './schema.ts'

export interface EventQuery {
  /** Only events after this `seq`, oldest first. */
  after?: number
  /** Only events before this `seq`, newest first. Without `after` and `before`: the newest, newest first. */
  before?: number
  agentId?: AgentId
  level?: Level[]
  type?: string
  /** Maximum number of events. */
  limit: number
}

/** Takes a few ms to read, even on a busy machine. */
const MAX_WINDOW = 1_000
/** Events that are deleted in one statement, which takes some 10 ms. */
const MAX_PRUNED = 1_000

type CallTimes = Pick<CallRow, 'id' | 'agent_id' | 'started_at' | 'ended_at'>
/** Findings in a text are recorded in batches, shortly after its call. */
const LATE_EVENT_MS = 60_000

export type EventTable = ReturnType<typeof eventTable>

export function eventTable({ orm }: Pick<Database, 'orm'>) {
  const { page, edges, seqFrom, find } = eventPages(orm)
  // Every event runs it: as SQL, since the query builder would take longer than SQLite.
  const insert = orm.$client.prepare(
    `INSERT INTO events (seq, at, agent_id, level, type, message, data)
     VALUES (?, ?, ?, ?, ?, ?, ?)`,
  )
  const prune = orm.$client.prepare<{ last: number; at: string; full: number }>(
    `DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE seq <= :last ORDER BY seq LIMIT ${MAX_PRUNED})
     AND (at < :at OR seq <= :full)`,
  )

  return {
    insert: ({ seq, at, agent_id, level, type, message, data }: RuntimeEvent): void =>
      void insert.run(seq, at, agent_id, level, type, message, JSON.stringify(data)),

    /** The first event of an agent. */
    firstOf: (agentId: AgentId): number | undefined =>
      orm
        .select({ seq: min(events.seq) })
        .from(events)
        .where(eq(events.agent_id, agentId))
        .get()?.seq ?? undefined,

    find,

    /** The same for queries that may scan very many events; yields between chunks. */
    async search(query: EventQuery): Promise<RuntimeEvent[]> {
      if (query.type === undefined && query.level === undefined) return find(query)
      const { first, last } = edges()
      const isOldestFirst = query.after !== undefined
      let above = Math.max(query.after ?? 0, (first ?? 0) - 1)
      let below = Math.min(query.before ?? Number.MAX_SAFE_INTEGER, (last ?? 0) + 1)
      const found: RuntimeEvent[] = []
      for (; below - above > 1 && found.length < query.limit; await nextTurn()) {
        const window = isOldestFirst
          ? { after: above, before: Math.min(below, above + MAX_WINDOW + 1) }
          : { after: Math.max(above, below - MAX_WINDOW - 1), before: below }
        const { type, level, agentId } = query
        const limit = query.limit - found.length
        const wanted = { level, agentId, limit, ...(type !== undefined && { type: [type] }) }
        found.push(...page(wanted, { above: window.after, below: window.before }, isOldestFirst))
        if (isOldestFirst) above = window.before - 1
        else below = window.after + 1
      }
      return found
    },

    /** Events that name a call, oldest first, up to a minute after its end; yields between chunks. */
    async ofCall({ id, agent_id, started_at, ended_at }: CallTimes): Promise<RuntimeEvent[]> {
      const { last } = edges()
      const end = ended_at === null ? Number.MAX_SAFE_INTEGER : seqFrom(isoTime(Date.parse(ended_at) + LATE_EVENT_MS))
      const found: RuntimeEvent[] = []
      for (let first = seqFrom(started_at); first < end && first <= (last ?? 0); await nextTurn()) {
        const below = Math.min(end, first + MAX_WINDOW)
        const isNamed = sql`instr(${events.data}, ${`"${id}"`}) > 0`
        const isInWindow = and(between(events.seq, first, below - 1), eq(events.agent_id, agent_id))
        const rows = orm.select().from(events).where(and(isInWindow, isNamed)).orderBy(asc(events.seq)).all()
        found.push(...(rows as RuntimeEvent[]))
        first = below
      }
      return found
    },

    /** Events of these types after a `seq`, newest first; yields between chunks. */
    async *newestFirst(types: ReadonlySet<string>, after: number): AsyncGenerator<RuntimeEvent[]> {
      for (let below = (edges().last ?? 0) + 1; below - after > 1; await nextTurn()) {
        const above = Math.max(after, below - MAX_WINDOW - 1)
        yield page({ type: [...types], limit: MAX_WINDOW }, { above, below }, false)
        below = above + 1
      }
    },

    /**
     * Deletes some of the oldest events up to `last`: those from before `at`, and those up to `full` at any age.
     * Returns true when there may be more.
     */
    prune: (limits: { last: number; at: string; full: number }): boolean => prune.run(limits).changes === MAX_PRUNED,
  }
}

/** Bounded queries, which the others are made of. */
function eventPages(orm: Database['orm']) {
  /** `above`, `below`: exclusive bounds. */
  const page = (
    { agentId, level, type, limit }: Pick<EventQuery, 'agentId' | 'level' | 'limit'> & { type?: readonly string[] },
    { above, below }: { above: number | undefined; below: number | undefined },
    isOldestFirst: boolean,
  ): RuntimeEvent[] => {
    const rows = orm
      .select()
      .from(events)
      .where(
        and(
          above === undefined ? undefined : gt(events.seq, above),
          below === undefined ? undefined : lt(events.seq, below),
          agentId === undefined ? undefined : eq(events.agent_id, agentId),
          level === undefined ? undefined : inArray(events.level, level),
          type === undefined ? undefined : inArray(events.type, [...type]),
        ),
      )
      .orderBy(isOldestFirst ? asc(events.seq) : desc(events.seq))
      .limit(limit)
      .all()
    return rows as RuntimeEvent[]
  }
  // Two queries: SQLite reads the whole table for both in one.
  const edges = () => ({
    first: orm
      .select({ seq: min(events.seq) })
      .from(events)
      .get()?.seq,
    last: orm
      .select({ seq: max(events.seq) })
      .from(events)
      .get()?.seq,
  })
  const find = ({ type, after, before, ...query }: EventQuery): RuntimeEvent[] =>
    page(
      { ...query, ...(type !== undefined && { type: [type] }) },
      { above: after, below: before },
      after !== undefined,
    )
  const at = (seq: number) => orm.select({ at: events.at }).from(events).where(eq(events.seq, seq)).get()?.at
  /** The first event at this time or later, by halving: times and numbers grow together. */
  function seqFrom(time: string): number {
    const { first, last } = edges()
    let [low, high] = [first ?? 0, (last ?? 0) + 1]
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      if ((at(middle) ?? '') < time) low = middle + 1
      else high = middle
    }
    return low
  }
  return { page, edges, seqFrom, find }
}
