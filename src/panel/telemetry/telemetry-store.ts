/** What runtimes reported of what happened there: their events, and how far each has got. */
import { Batch } from '../../core/batch.ts'
import { CageError } from '../../core/errors.ts'
import type { RuntimeEvent } from '../../core/events.ts'
import type { TelemetryAnswer, TelemetryBatch } from '../../protocol/telemetry-messages.ts'
import type { Snapshot } from '../../state/snapshot.ts'
import { revokedRuntime } from '../bank/bank.ts'
import type { Dialect, PanelDatabase, Sql, Value } from '../db/database.ts'
import { insert } from '../db/insert.ts'
import { dropPartitions, makePartitions } from './event-partitions.ts'
import { addSpending, type Dimension, isTime, readSpending, type Spent } from './spending.ts'

/** How far a runtime has got. */
export interface StoredTelemetry {
  runtime_id: string
  journal_id: string
  acked_seq: number
  /** Events that the runtime could not send any more. */
  lost: number
  /** A state of the runtime, as JSON, and its last event; null before the first one was kept. */
  snapshot: string | null
  folded_seq: number
  /** When the last event happened, by the runtime's clock. */
  last_at: string | null
  /** Earlier reports of another ledger of this runtime are counted: a restored one reports it again. */
  counted_until: string | null
  /** How often a person was erased. A state that was folded before the last time is folded again. */
  erasures: number
}

export interface StoredIncident {
  runtime_id: string
  at: string
  agent_id: string | null
  /** As JSON. */
  data: string
}

/** Later than any time. */
const FUTURE = ':'

/** How long names of agents are stored after their last start, in ms. */
const AGENT_NAMES_MS = 366 * 24 * 3_600_000

/** Whose events. */
type Place = Pick<StoredTelemetry, 'runtime_id' | 'journal_id'>

interface StoredEvent extends Omit<RuntimeEvent, 'data'> {
  data: string
}

/** Of one transaction: a statement has less than 65,536 values. */
const MAX_GROUP_EVENTS = 2_000

/** A batch that waits. */
interface Job {
  runtimeId: string
  batch: TelemetryBatch
}

export class TelemetryStore {
  readonly #database: PanelDatabase
  /** By organization. */
  readonly #jobs = new Map<string, Batch<Job, TelemetryAnswer>>()

  constructor(database: PanelDatabase) {
    this.#database = database
  }

  /**
   * Stores the events that are new. A batch that continues from more than is stored is not taken: its answer names the
   * position to continue from. What runtimes of an organization send at once is stored in one transaction. Throws
   * CageError `runtime_revoked`, or `bad_request` when the database refuses an event.
   */
  take(organizationId: string, runtimeId: string, batch: TelemetryBatch): Promise<TelemetryAnswer> {
    const takeGroup = (group: readonly Job[]) => this.#takeGroup(organizationId, group)
    const jobs = this.#jobs.get(organizationId) ?? new Batch(takeGroup, { choose: groupOf })
    this.#jobs.set(organizationId, jobs)
    return jobs.add({ runtimeId, batch })
  }

  async #takeGroup(organizationId: string, group: readonly Job[]): Promise<(TelemetryAnswer | Error)[]> {
    const { dialect } = this.#database
    try {
      const answers = await this.#database.within(organizationId, (sql) => store(sql, dialect, organizationId, group))
      return answers.map((answer) => answer ?? revokedRuntime())
    } catch (error) {
      if (group.length === 1) throw dialect.isRefusal(error) ? refused(error) : error
      // An event that the database refuses must not keep the others out.
      const answers: (TelemetryAnswer | Error)[] = []
      for (const job of group)
        answers.push(...(await this.#takeGroup(organizationId, [job]).catch((refusal) => [refusal as Error])))
      return answers
    }
  }

  /** Of every runtime of the organization. */
  cursors(organizationId: string): Promise<StoredTelemetry[]> {
    return this.#database.within(organizationId, (sql) =>
      sql.rows<StoredTelemetry>('SELECT * FROM telemetry WHERE organization_id = $1', [organizationId]),
    )
  }

  /** Events of a runtime after `seq`, oldest first. */
  async events(organizationId: string, cursor: Place, after: number, limit: number): Promise<RuntimeEvent[]> {
    const events = await this.eventsOfAll(organizationId, [{ ...cursor, after }], limit)
    return events.get(cursor.runtime_id) ?? []
  }

  /** The same of several runtimes, up to `limit` of all together, those of the first ones first. */
  async eventsOfAll(
    organizationId: string,
    places: readonly (Place & { after: number })[],
    limit: number,
  ): Promise<Map<string, RuntimeEvent[]>> {
    if (places.length === 0) return new Map()
    const values = places.map((_, n) => `($${3 * n + 3}, $${3 * n + 4}, CAST($${3 * n + 5} AS BIGINT))`)
    const rows = await this.#database.within(organizationId, (sql) =>
      sql.rows<StoredEvent & { runtime_id: string }>(
        `WITH places (runtime_id, journal_id, after_seq) AS (VALUES ${values.join()})
         SELECT events.runtime_id, seq, at, agent_id, level, type, message, data
         FROM places JOIN events ON events.runtime_id = places.runtime_id
           AND events.journal_id = places.journal_id AND events.seq > places.after_seq
         WHERE organization_id = $1 ORDER BY events.runtime_id, seq LIMIT $2`,
        [
          organizationId,
          limit,
          ...places.flatMap(({ runtime_id, journal_id, after }) => [runtime_id, journal_id, after]),
        ],
      ),
    )
    const events = new Map<string, RuntimeEvent[]>()
    for (const { runtime_id, ...row } of rows) {
      const own = events.get(runtime_id) ?? []
      own.push({ ...row, data: JSON.parse(row.data) as unknown } as RuntimeEvent)
      events.set(runtime_id, own)
    }
    return events
  }

  /** Keeps a state that was folded up to the cursor, and from which later ones are continued. */
  async keep(
    organizationId: string,
    { runtime_id, journal_id, erasures }: StoredTelemetry,
    snapshot: Snapshot,
  ): Promise<void> {
    await this.#database.within(organizationId, (sql) =>
      sql.rows(
        `UPDATE telemetry SET snapshot = $3, folded_seq = $4
         WHERE runtime_id = $1 AND journal_id = $2 AND folded_seq < $4 AND erasures = $5`,
        [runtime_id, journal_id, JSON.stringify(snapshot), snapshot.seq, erasures],
      ),
    )
  }

  /** The cost of calls since a day ("2026-01-02", UTC). */
  spending(organizationId: string, since: string, by: Dimension): Promise<Spent[]> {
    const { dialect } = this.#database
    return this.#database.within(organizationId, (sql) => readSpending(sql, dialect, organizationId, { since, by }))
  }

  /** Personal data that was found, newest first. Before `before`, ISO 8601 UTC; null for the newest. */
  incidents(
    organizationId: string,
    { before, limit }: { before: string | null; limit: number },
  ): Promise<StoredIncident[]> {
    return this.#database.within(organizationId, (sql) =>
      sql.rows<StoredIncident>(
        `SELECT runtime_id, at, agent_id, data FROM events
         WHERE organization_id = $1 AND type = 'pii.found' AND at < $2 ORDER BY at DESC, seq DESC LIMIT $3`,
        [organizationId, before ?? FUTURE, limit],
      ),
    )
  }

  /** How many were found on a day (UTC), such as "2026-01-02", by level: what identifies a person or opens a door is CRIT. */
  countIncidents(organizationId: string, day: string): Promise<{ level: string; count: number }[]> {
    return this.#database.within(organizationId, (sql) =>
      sql.rows<{ level: string; count: number }>(
        `SELECT level, count(*) AS count FROM events
         WHERE organization_id = $1 AND type = 'pii.found' AND at >= $2 AND substr(at, 1, 10) = $2 GROUP BY level`,
        [organizationId, day],
      ),
    )
  }

  /** Makes room for the events of the next days, where that must be made. */
  async prepare(): Promise<void> {
    if (this.#database.dialect.kind === 'postgres') await makePartitions(this.#database)
  }

  /**
   * Deletes events that a kept state includes and that are older than `eventsMs`; incidents when they are older than
   * `incidentsMs`. PostgreSQL does so by the day, and by ten days.
   */
  async prune(ages: { eventsMs: number; incidentsMs: number }): Promise<void> {
    const { dialect, system } = this.#database
    if (dialect.kind === 'postgres') await dropPartitions(this.#database, ages)
    else await this.#deleteRows(ages)
    // Agents that run for longer lose their names in later sums.
    await system.rows(`DELETE FROM agent_names WHERE started_at < ${dialect.now} - ${AGENT_NAMES_MS}`)
  }

  async #deleteRows({ eventsMs, incidentsMs }: { eventsMs: number; incidentsMs: number }): Promise<void> {
    const { dialect, system } = this.#database
    const { now } = dialect
    const isOld = `received_at < ${now} - ${eventsMs} AND (type <> 'pii.found' OR received_at < ${now} - ${incidentsMs})`
    // Later ones of the present ledger are still to be folded.
    const isUnneeded = `NOT EXISTS (SELECT 1 FROM telemetry WHERE telemetry.runtime_id = events.runtime_id
      AND telemetry.journal_id = events.journal_id AND seq > folded_seq)`
    await system.rows(`DELETE FROM events WHERE ${isOld} AND ${isUnneeded}`)
  }
}

/** A runtime finds out which event it is, and sends the others. */
const refused = (cause: unknown): CageError =>
  new CageError('bad_request', 'the database refuses one of these events', { cause })

/** As many as fit into a statement, one of each runtime. */
function groupOf(jobs: readonly Job[]): Job[] {
  const group = new Map<string, Job>()
  let events = 0
  for (const job of jobs) {
    events += job.batch.events.length
    if (group.size > 0 && events > MAX_GROUP_EVENTS) break
    if (!group.has(job.runtimeId)) group.set(job.runtimeId, job)
  }
  return [...group.values()]
}

/** Returns an answer for each; undefined for a runtime that was revoked. */
async function store(
  sql: Sql,
  dialect: Dialect,
  organizationId: string,
  group: readonly Job[],
): Promise<(TelemetryAnswer | undefined)[]> {
  const cursors = await lockCursors(sql, dialect, organizationId, group)
  const rows: Record<string, Value>[] = []
  const counted: { runtimeId: string; receivedAt: number; events: RuntimeEvent[] }[] = []
  const changed: Record<string, Value>[] = []
  const answers = group.map(({ runtimeId, batch }) => {
    const stored = cursors.get(runtimeId)
    if (!stored) return undefined
    const { after, through, lost, events, journal_id } = batch
    const acked = stored.acked_seq
    if (after > acked || through <= acked) return { acked_seq: acked }
    const fresh = events.filter(({ seq }) => seq > acked && seq <= through)
    const own = { organization_id: organizationId, runtime_id: runtimeId, journal_id }
    for (const { seq, at, agent_id, level, type, message, data } of fresh) {
      const event = { seq, at, agent_id, level, type, message, data: JSON.stringify(data) }
      rows.push({ ...own, ...event, received_at: stored.now })
    }
    const until = stored.counted_until
    const uncounted = fresh.filter(({ at }) => until === null || at > until)
    counted.push({ runtimeId, receivedAt: stored.now, events: uncounted })
    const gap = lost ? Math.max(0, lost.to - Math.max(lost.from, acked + 1) + 1) : 0
    const last_at = lastTime([stored.last_at, ...fresh.map(({ at }) => at)])
    changed.push({ ...own, acked_seq: through, lost: gap, last_at })
    return { acked_seq: through }
  })
  await insert(sql, 'events', rows)
  await addSpending(sql, dialect, organizationId, counted)
  await insert(
    sql,
    'telemetry',
    changed,
    () => ` ON CONFLICT (runtime_id) DO UPDATE SET
      acked_seq = excluded.acked_seq, lost = telemetry.lost + excluded.lost, last_at = excluded.last_at`,
  )
  return answers
}

type Cursor = Pick<StoredTelemetry, 'runtime_id' | 'journal_id' | 'acked_seq' | 'last_at' | 'counted_until'>

/** Of those that were not revoked. In the same order everywhere, so that panels never wait for each other in a ring. */
async function lockCursors(
  sql: Sql,
  dialect: Dialect,
  organizationId: string,
  jobs: readonly Job[],
): Promise<Map<string, Cursor & { now: number }>> {
  const runtimes = await sql.rows<{ id: string; now: number }>(
    `SELECT id, ${dialect.now} AS now FROM runtimes
     WHERE organization_id = $1 AND ${dialect.isIn('id', '$2')} AND revoked_at IS NULL`,
    [organizationId, JSON.stringify(jobs.map(({ runtimeId }) => runtimeId))],
  )
  const times = new Map(runtimes.map(({ id, now }) => [id, now]))
  const group = jobs.filter(({ runtimeId }) => times.has(runtimeId))
  const ids = JSON.stringify([...times.keys()])
  const read = () =>
    sql.rows<Cursor>(
      `SELECT runtime_id, journal_id, acked_seq, last_at, counted_until FROM telemetry
       WHERE ${dialect.isIn('runtime_id', '$1')} ORDER BY runtime_id ${dialect.forUpdate}`,
      [ids],
    )
  let rows = await read()
  if (rows.length < group.length) {
    const sorted = group.toSorted((one, other) => (one.runtimeId < other.runtimeId ? -1 : 1))
    const first = sorted.map(({ runtimeId, batch: { journal_id } }) => {
      return { runtime_id: runtimeId, organization_id: organizationId, journal_id }
    })
    await insert(sql, 'telemetry', first, () => ' ON CONFLICT (runtime_id) DO NOTHING')
    rows = await read()
  }
  const stored = new Map(rows.map((row) => [row.runtime_id, row]))
  const cursors = new Map<string, Cursor & { now: number }>()
  for (const { runtimeId, batch } of group) {
    const cursor = await cursorOf(sql, stored.get(runtimeId)!, batch.journal_id)
    cursors.set(runtimeId, { ...cursor, now: times.get(runtimeId)! })
  }
  return cursors
}

/** Another ledger begins anew; one that comes back goes on, so that none of its events is stored twice. */
async function cursorOf(sql: Sql, row: Cursor, journalId: string): Promise<Cursor> {
  if (row.journal_id === journalId) return row
  const { runtime_id: runtimeId, last_at } = row
  const [stored] = await sql.rows<{ acked_seq: number }>(
    'SELECT coalesce(max(seq), 0) AS acked_seq FROM events WHERE runtime_id = $1 AND journal_id = $2',
    [runtimeId, journalId],
  )
  const { acked_seq } = stored!
  await sql.rows(
    `UPDATE telemetry SET journal_id = $2, acked_seq = $3, snapshot = NULL, folded_seq = 0, counted_until = $4
     WHERE runtime_id = $1`,
    [runtimeId, journalId, acked_seq, last_at],
  )
  return { runtime_id: runtimeId, journal_id: journalId, acked_seq, last_at, counted_until: last_at }
}

/** The latest of the times that are some. */
function lastTime(times: readonly (string | null)[]): string | null {
  return times.reduce(
    (latest, at) => (at !== null && isTime(at) && (latest === null || at > latest) ? at : latest),
    null,
  )
}
