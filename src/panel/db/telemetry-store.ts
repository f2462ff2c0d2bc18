/** What runtimes reported of what happened there: their events, and how far each has got. */
import { CageError } from '../../errors.ts'
import type { RuntimeEvent } from '../../events.ts'
import type { Snapshot } from '../../state/snapshot.ts'
import type { TelemetryAnswer, TelemetryBatch } from '../../telemetry-messages.ts'
import type { Dialect, PanelDatabase, Sql } from './database.ts'
import { countUnsent, endJournal } from './export-store.ts'
import { insert } from './insert.ts'
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
  /** What an earlier ledger of this runtime reported until then is counted: a restored one reports it again. */
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

interface StoredEvent extends Omit<RuntimeEvent, 'data'> {
  data: string
}

export class TelemetryStore {
  readonly #database: PanelDatabase

  constructor(database: PanelDatabase) {
    this.#database = database
  }

  /**
   * Stores the events that are new. A batch that continues from more than is stored is not taken: its answer says where to
   * continue. Throws CageError `runtime_revoked`.
   */
  take(organizationId: string, runtimeId: string, batch: TelemetryBatch): Promise<TelemetryAnswer> {
    const { dialect } = this.#database
    return this.#database.within(organizationId, async (sql) => {
      const stored = await lockCursor(sql, dialect, organizationId, runtimeId, batch.journal_id)
      const { after, through, lost, events, journal_id } = batch
      const acked = stored.acked_seq
      if (after > acked || through <= acked) return { acked_seq: acked }
      const isNew = ({ seq }: RuntimeEvent) => seq > acked && seq <= through
      const fresh = events.filter(isNew)
      const rows = fresh.map(({ seq, at, agent_id, level, type, message, data }) => ({
        organization_id: organizationId,
        runtime_id: runtimeId,
        journal_id,
        ...{ seq, at, agent_id, level, type, message, data: JSON.stringify(data), received_at: stored.now },
      }))
      await insert(sql, 'events', rows)
      const until = stored.counted_until
      const uncounted = fresh.filter(({ at }) => until === null || at > until)
      await addSpending(sql, dialect, { organizationId, runtimeId }, uncounted)
      const gap = lost ? Math.max(0, lost.to - Math.max(lost.from, acked + 1) + 1) : 0
      await sql.rows('UPDATE telemetry SET acked_seq = $2, lost = lost + $3, last_at = $4 WHERE runtime_id = $1', [
        ...[runtimeId, through, gap],
        lastTime([stored.last_at, ...fresh.map(({ at }) => at)]),
      ])
      return { acked_seq: through }
    })
  }

  /** Of every runtime of the organization. */
  cursors(organizationId: string): Promise<StoredTelemetry[]> {
    return this.#database.within(organizationId, (sql) =>
      sql.rows<StoredTelemetry>('SELECT * FROM telemetry WHERE organization_id = $1', [organizationId]),
    )
  }

  /** Events of a runtime after `seq`, oldest first. */
  async events(
    organizationId: string,
    { runtime_id, journal_id }: Pick<StoredTelemetry, 'runtime_id' | 'journal_id'>,
    after: number,
    limit: number,
  ): Promise<RuntimeEvent[]> {
    const rows = await this.#database.within(organizationId, (sql) =>
      sql.rows<StoredEvent>(
        `SELECT seq, at, agent_id, level, type, message, data FROM events
         WHERE organization_id = $1 AND runtime_id = $2 AND journal_id = $3 AND seq > $4 ORDER BY seq LIMIT $5`,
        [organizationId, runtime_id, journal_id, after, limit],
      ),
    )
    return rows.map((row) => ({ ...row, data: JSON.parse(row.data) as unknown }) as RuntimeEvent)
  }

  /** Keeps a state that was folded from what the cursor says, and from which later ones are continued. */
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

  /** What calls cost since a day ("2026-01-02", UTC). */
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

  /** Deletes events that a kept state includes and that are older than `ms`; incidents when they are older than `incidentsMs`. */
  async prune(ms: number, incidentsMs: number): Promise<void> {
    const { dialect, system } = this.#database
    const { now } = dialect
    const isOld = `received_at < ${now} - ${ms} AND (type <> 'pii.found' OR received_at < ${now} - ${incidentsMs})`
    const prune = async (isUnneeded: string) => {
      await countUnsent(dialect, system, `${isOld} AND ${isUnneeded}`)
      await system.rows(`DELETE FROM events WHERE ${isOld} AND ${isUnneeded}`)
    }
    await prune(
      `seq <= (SELECT folded_seq FROM telemetry
         WHERE telemetry.runtime_id = events.runtime_id AND telemetry.journal_id = events.journal_id)`,
    )
    // Agents that run for longer lose their names in later sums.
    await system.rows(`DELETE FROM agent_names WHERE started_at < ${now} - ${AGENT_NAMES_MS}`)
    // Of a ledger that was replaced.
    await prune(
      `NOT EXISTS
       (SELECT 1 FROM telemetry WHERE telemetry.runtime_id = events.runtime_id AND telemetry.journal_id = events.journal_id)`,
    )
  }
}

/** Another ledger begins anew. */
async function lockCursor(
  sql: Sql,
  dialect: Dialect,
  organizationId: string,
  runtimeId: string,
  journalId: string,
): Promise<Pick<StoredTelemetry, 'acked_seq' | 'last_at' | 'counted_until'> & { now: number }> {
  const own = [runtimeId, organizationId]
  const [runtime] = await sql.rows<{ revoked_at: number | null; now: number }>(
    `SELECT revoked_at, ${dialect.now} AS now FROM runtimes WHERE id = $1 AND organization_id = $2`,
    own,
  )
  if (!runtime || runtime.revoked_at !== null)
    throw new CageError('runtime_revoked', 'this runtime was removed from its Control Panel')
  await sql.rows(
    `INSERT INTO telemetry (runtime_id, organization_id, journal_id) VALUES ($1, $2, $3) ON CONFLICT (runtime_id) DO NOTHING`,
    [...own, journalId],
  )
  const [row] = await sql.rows<StoredTelemetry>(`SELECT * FROM telemetry WHERE runtime_id = $1 ${dialect.forUpdate}`, [
    runtimeId,
  ])
  const { now } = runtime
  if (row!.journal_id === journalId) return { ...row!, now }
  const { last_at, acked_seq: stored_seq, journal_id } = row!
  await endJournal(sql, { runtime_id: runtimeId, organization_id: organizationId, journal_id, stored_seq })
  await sql.rows(
    `UPDATE telemetry SET journal_id = $2, acked_seq = 0, snapshot = NULL, folded_seq = 0, counted_until = $3
     WHERE runtime_id = $1`,
    [runtimeId, journalId, last_at],
  )
  return { acked_seq: 0, last_at, counted_until: last_at, now }
}

/** The latest of the times that are some. */
function lastTime(times: readonly (string | null)[]): string | null {
  return times.reduce(
    (latest, at) => (at !== null && isTime(at) && (latest === null || at > latest) ? at : latest),
    null,
  )
}
