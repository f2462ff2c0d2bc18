import { setImmediate as nextTurn } from 'node:timers/promises'
import { and, desc, eq, gte, lt, sql } from 'drizzle-orm'
import type { AgentId, CallId } from '../../core/ids.ts'
import { add, type Nanodollars, subtract, ZERO_NANOS } from '../../core/money.ts'
import type { Database } from '../database.ts'
import { calls, holds, ledger } from './schema.ts'

export type CallRow = typeof calls.$inferSelect
export type HoldRow = typeof holds.$inferSelect
/** Statuses that hold money; a correction never does. */
export type CallKind = Exclude<CallRow['kind'], 'correction'>

/** The columns that are written when a call ends. */
export interface CallEnd {
  agent_id: AgentId
  id: CallId
  state: 'charged' | 'released'
  cost_nanos: Nanodollars
  estimated: boolean
  price: unknown
  usage: unknown
  status: number | null
  code: string | null
  ended_at: string
}

export type Correction = Pick<
  CallRow,
  'agent_id' | 'id' | 'run_id' | 'target' | 'model' | 'cost_nanos' | 'started_at' | 'ended_at' | 'corrects' | 'reason'
>

export type UnchargedRow = Pick<
  CallRow,
  'id' | 'agent_id' | 'run_id' | 'target' | 'model' | 'status' | 'code' | 'started_at'
>

export interface CallQuery {
  agentId: AgentId
  state?: CallRow['state']
  kind?: CallRow['kind']
  /** Started at this time or later, ISO 8601 UTC. */
  from?: string
  /** Started before this time, ISO 8601 UTC. */
  to?: string
  /** The id of the last call on the previous page. */
  before?: CallId
  limit: number
}

/** The columns that a report reads. */
export type CostRow = Pick<
  CallRow,
  'agent_id' | 'id' | 'kind' | 'target' | 'model' | 'state' | 'held_nanos' | 'cost_nanos'
> & { counted_at: string }

/** `spentBefore`: spent before the requested time. */
export interface Totals {
  spent: Nanodollars
  spentBefore: Nanodollars
  held: Nanodollars
}

export const NOTHING_SPENT: Readonly<Totals> = { spent: ZERO_NANOS, spentBefore: ZERO_NANOS, held: ZERO_NANOS }

/** Selects one agent, or all. */
export type LedgerScope = { agentId?: AgentId }

/** Money counts when it was held, and a correction when its call did. */
const COUNTED_AT = "CASE kind WHEN 'correction' THEN ended_at ELSE started_at END"

/** After every id. */
export const LAST = '\uffff' as CallId

/** Takes a few ms to read, even on a busy machine. */
const MAX_WINDOW_ROWS = 1_000

export type CallTable = ReturnType<typeof callTable>

export const callTable = (database: Database) => ({
  ...callWrites(database),
  ...callTotals(database),
  ...callReads(database),
})

function callWrites({ orm, transaction }: Database) {
  // Every call runs these three: as SQL with parameters by position, since the query builder would take longer than SQLite.
  const hold = orm.$client.prepare(
    `INSERT INTO holds (id, agent_id, run_id, kind, target, model, unit, lease_id, held_nanos, started_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  )
  const end = orm.$client.prepare(
    `INSERT INTO calls (id, agent_id, run_id, kind, target, model, unit, lease_id, held_nanos, started_at,
       state, cost_nanos, estimated, price, usage, status, code, ended_at)
     SELECT id, agent_id, run_id, kind, target, model, unit, lease_id, held_nanos, started_at,
       ?, ?, ?, ?, ?, ?, ?, ?
     FROM holds WHERE id = ? AND agent_id = ?`,
  )
  const removeHold = orm.$client.prepare('DELETE FROM holds WHERE id = ?')
  const keepHolds = orm.$client.prepare(
    `INSERT INTO calls (id, agent_id, run_id, kind, target, model, unit, lease_id, held_nanos, started_at,
       state, code, ended_at)
     SELECT id, agent_id, run_id, kind, target, model, unit, lease_id, held_nanos, started_at,
       'unresolved', 'server_ended', ? FROM holds`,
  )

  return {
    insertHeld({ id, agent_id, run_id, kind, target, model, unit, lease_id, held_nanos, started_at }: HoldRow): void {
      hold.run(id, agent_id, run_id, kind, target, model, unit, lease_id, held_nanos, started_at)
    },

    /** A call that cost nothing, and for which nothing was held. */
    insertUncharged: (row: UnchargedRow): void =>
      void orm
        .insert(calls)
        .values({
          ...row,
          kind: 'llm',
          state: 'released',
          held_nanos: ZERO_NANOS,
          cost_nanos: ZERO_NANOS,
          ended_at: row.started_at,
        })
        .run(),

    /** Sets the number of calls that such a row represents. */
    countUncharged: (agentId: AgentId, id: CallId, count: number): void =>
      void orm
        .update(calls)
        .set({ usage: { calls: count } })
        .where(and(eq(calls.agent_id, agentId), eq(calls.id, id)))
        .run(),

    /** Ends a held call, in a transaction. Returns false when it had ended already. */
    end({ id, agent_id, state, cost_nanos, estimated, price, usage, status, code, ended_at }: CallEnd): boolean {
      const texts = [JSON.stringify(price), JSON.stringify(usage)]
      const flag = estimated ? 1 : 0
      const { changes } = end.run(state, cost_nanos, flag, ...texts, status, code, ended_at, id, agent_id)
      if (changes === 0) return false
      removeHold.run(id)
      return true
    },

    /** Makes calls that a killed server left open unresolved. Returns how many. */
    markUnresolved: (at: string): number =>
      transaction(() => {
        const { changes } = keepHolds.run(at)
        orm.$client.exec('DELETE FROM holds')
        return changes
      }),

    /** Ends an unresolved call. Returns false when it has ended already. */
    resolve: ({
      agent_id,
      id,
      ...end
    }: Pick<CallEnd, 'agent_id' | 'id' | 'state' | 'cost_nanos' | 'ended_at'>): boolean =>
      orm
        .update(calls)
        .set(end)
        .where(and(eq(calls.agent_id, agent_id), eq(calls.id, id), eq(calls.state, 'unresolved')))
        .run().changes === 1,

    insertCorrection: (row: Correction): void =>
      void orm
        .insert(calls)
        .values({ ...row, kind: 'correction', state: 'charged', held_nanos: ZERO_NANOS })
        .run(),
  }
}

function callTotals({ orm }: Database) {
  const totalsPage = orm.$client.prepare<
    { agentId: AgentId; after: CallId; since: string; limit: number },
    {
      spent: Nanodollars | null
      spent_before: Nanodollars | null
      held: Nanodollars | null
      rows: number
      last: CallId
    }
  >(
    `SELECT sum(CASE WHEN ${COUNTED_AT} < :since THEN 0 ELSE cost_nanos END) AS spent,
       sum(CASE WHEN ${COUNTED_AT} < :since THEN cost_nanos ELSE 0 END) AS spent_before,
       sum(CASE WHEN state IN ('held', 'unresolved') AND started_at >= :since THEN held_nanos ELSE 0 END) AS held,
       count(*) AS rows, max(id) AS last
     FROM (SELECT * FROM ledger WHERE agent_id = :agentId AND id > :after ORDER BY id LIMIT :limit)`,
  )

  // By name: SQLite would rather read all calls of the agent.
  const costWithCorrections = orm.$client
    .prepare<{ agentId: AgentId; id: CallId }, Nanodollars | null>(
      `SELECT sum(cost_nanos) FROM (
         SELECT cost_nanos FROM calls WHERE agent_id = :agentId AND id = :id
         UNION ALL
         SELECT cost_nanos FROM calls INDEXED BY calls_corrections WHERE agent_id = :agentId AND corrects = :id)`,
    )
    .pluck()

  return {
    /** Spending of one agent or all, since a time and before it, and what open calls have held since. */
    totals({ agentId, since }: LedgerScope & { since?: string }): Totals {
      const row = orm
        .select({
          all: sql<Nanodollars | null>`sum(${calls.cost_nanos})`,
          before: since
            ? sql<Nanodollars | null>`sum(CASE WHEN ${sql.raw(COUNTED_AT)} < ${since} THEN ${calls.cost_nanos} ELSE 0 END)`
            : sql<Nanodollars>`0`,
          unresolved: sql<Nanodollars | null>`sum(CASE WHEN ${calls.state} = 'unresolved' AND ${calls.started_at} >= ${since ?? ''} THEN ${calls.held_nanos} ELSE 0 END)`,
        })
        .from(calls)
        .where(agentId === undefined ? undefined : eq(calls.agent_id, agentId))
        .get()
      // Not in one query over `ledger`, which takes twice as long.
      const running = orm
        .select({ held: sql<Nanodollars | null>`sum(${holds.held_nanos})` })
        .from(holds)
        .where(and(gte(holds.started_at, since ?? ''), agentId === undefined ? undefined : eq(holds.agent_id, agentId)))
        .get()
      const spentBefore = row?.before ?? ZERO_NANOS
      const held = add(row?.unresolved ?? ZERO_NANOS, running?.held ?? ZERO_NANOS)
      return { spent: subtract(row?.all ?? ZERO_NANOS, spentBefore), spentBefore, held }
    },

    /** The same for one agent, in chunks that yield between them. Only while nothing of this agent is written. */
    async totalsInTurns({ agentId, since }: { agentId: AgentId; since: string | undefined }): Promise<Totals> {
      const totals = { ...NOTHING_SPENT }
      for (let after = '' as CallId; ; await nextTurn()) {
        const page = totalsPage.get({ agentId, after, since: since ?? '', limit: MAX_WINDOW_ROWS })!
        totals.spent = add(totals.spent, page.spent ?? ZERO_NANOS)
        totals.spentBefore = add(totals.spentBefore, page.spent_before ?? ZERO_NANOS)
        totals.held = add(totals.held, page.held ?? ZERO_NANOS)
        if (page.rows < MAX_WINDOW_ROWS) return totals
        after = page.last
      }
    },

    /** The cost of a call with its corrections. */
    costOf: (agentId: AgentId, id: CallId): Nanodollars => costWithCorrections.get({ agentId, id }) ?? ZERO_NANOS,
  }
}

function callReads({ orm }: Database) {
  const edgeBelow = orm.$client
    .prepare<{ agentId: AgentId; below: CallId }, CallId>(
      `SELECT id FROM calls WHERE agent_id = :agentId AND id < :below ORDER BY id DESC LIMIT 1 OFFSET ${MAX_WINDOW_ROWS}`,
    )
    .pluck()
  const costsOf = (condition: string) =>
    orm.$client.prepare<object, CostRow>(
      `SELECT agent_id, id, kind, target, model, state, held_nanos, cost_nanos, ${COUNTED_AT} AS counted_at
       FROM ledger WHERE ${condition} ORDER BY agent_id, id LIMIT :limit`,
    )
  const costsOfAll = costsOf('(agent_id, id) > (:agentId, :after)')
  const costsOfAgent = costsOf('agent_id = :agentId AND id > :after')

  return {
    get: (agentId: AgentId, id: CallId): CallRow | undefined =>
      orm
        .select()
        .from(ledger)
        .where(and(eq(ledger.agent_id, agentId), eq(ledger.id, id)))
        .get(),

    /**
     * An agent's ledger rows, newest first. Reads some MAX_WINDOW_ROWS rows at a time and yields in between, as a query
     * may match few of very many.
     */
    async find({ agentId, state, kind, from, to, before, limit }: CallQuery): Promise<CallRow[]> {
      const found: CallRow[] = []
      const window = orm
        .select()
        .from(ledger)
        .where(
          and(
            eq(ledger.agent_id, agentId),
            gte(ledger.id, sql.placeholder('first')),
            lt(ledger.id, sql.placeholder('below')),
            state === undefined ? undefined : eq(ledger.state, state),
            kind === undefined ? undefined : eq(ledger.kind, kind),
            from === undefined ? undefined : gte(ledger.started_at, from),
            to === undefined ? undefined : lt(ledger.started_at, to),
          ),
        )
        .orderBy(desc(ledger.id))
        .limit(sql.placeholder('left'))
        .prepare()
      for (let below = before ?? LAST; ; await nextTurn()) {
        const first = edgeBelow.get({ agentId, below })
        found.push(...window.all({ first: first ?? '', below, left: limit - found.length }))
        if (first === undefined || found.length === limit) return found
        below = first
      }
    },

    /** A page of the rows that a report sums, in table order; `after`: the last row of the previous page. */
    costs({ agentId, after, limit }: LedgerScope & { after: CostRow | undefined; limit: number }): CostRow[] {
      const last = { after: after?.id ?? '', limit }
      return agentId === undefined
        ? costsOfAll.all({ ...last, agentId: after?.agent_id ?? '' })
        : costsOfAgent.all({ ...last, agentId })
    },
  }
}
