/** What runtimes reported of what happened there: their events, and how far each has got. */
import { CageError } from '../../errors.ts'
import type { RuntimeEvent } from '../../events.ts'
import type { Snapshot } from '../../state/snapshot.ts'
import type { TelemetryAnswer, TelemetryBatch } from '../../telemetry-messages.ts'
import type { Dialect, PanelDatabase, Sql } from './database.ts'
import { insert } from './insert.ts'

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
}

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
      const rows = events.filter(isNew).map(({ seq, at, agent_id, level, type, message, data }) => ({
        organization_id: organizationId,
        runtime_id: runtimeId,
        journal_id,
        ...{ seq, at, agent_id, level, type, message, data: JSON.stringify(data), received_at: stored.now },
      }))
      await insert(sql, 'events', rows)
      const gap = lost ? Math.max(0, lost.to - Math.max(lost.from, acked + 1) + 1) : 0
      await sql.rows('UPDATE telemetry SET acked_seq = $2, lost = lost + $3 WHERE runtime_id = $1', [
        runtimeId,
        through,
        gap,
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

  /** Keeps a state, from which later ones are continued. */
  async keep(organizationId: string, { runtime_id, journal_id }: StoredTelemetry, snapshot: Snapshot): Promise<void> {
    await this.#database.within(organizationId, (sql) =>
      sql.rows(
        `UPDATE telemetry SET snapshot = $3, folded_seq = $4
         WHERE runtime_id = $1 AND journal_id = $2 AND folded_seq < $4`,
        [runtime_id, journal_id, JSON.stringify(snapshot), snapshot.seq],
      ),
    )
  }

  /** Deletes events that a kept state includes and that are older than `ms`. */
  async prune(ms: number): Promise<void> {
    await this.#database.system.rows(
      `DELETE FROM events WHERE received_at < ${this.#database.dialect.now} - ${ms} AND
       seq <= (SELECT folded_seq FROM telemetry
         WHERE telemetry.runtime_id = events.runtime_id AND telemetry.journal_id = events.journal_id)`,
    )
    // Of a ledger that was replaced.
    await this.#database.system.rows(
      `DELETE FROM events WHERE received_at < ${this.#database.dialect.now} - ${ms} AND NOT EXISTS
       (SELECT 1 FROM telemetry WHERE telemetry.runtime_id = events.runtime_id AND telemetry.journal_id = events.journal_id)`,
    )
  }
}

/** Another ledger begins anew. */
async function lockCursor(
  sql: Sql,
  { forUpdate, now }: Dialect,
  organizationId: string,
  runtimeId: string,
  journalId: string,
): Promise<{ acked_seq: number; now: number }> {
  const own = [runtimeId, organizationId]
  const [runtime] = await sql.rows<{ revoked_at: number | null; now: number }>(
    `SELECT revoked_at, ${now} AS now FROM runtimes WHERE id = $1 AND organization_id = $2`,
    own,
  )
  if (!runtime || runtime.revoked_at !== null)
    throw new CageError('runtime_revoked', 'this runtime was removed from its Control Panel')
  await sql.rows(
    `INSERT INTO telemetry (runtime_id, organization_id, journal_id) VALUES ($1, $2, $3) ON CONFLICT (runtime_id) DO NOTHING`,
    [...own, journalId],
  )
  const [row] = await sql.rows<StoredTelemetry>(`SELECT * FROM telemetry WHERE runtime_id = $1 ${forUpdate}`, [
    runtimeId,
  ])
  if (row!.journal_id === journalId) return { acked_seq: row!.acked_seq, now: runtime.now }
  await sql.rows(
    'UPDATE telemetry SET journal_id = $2, acked_seq = 0, snapshot = NULL, folded_seq = 0 WHERE runtime_id = $1',
    [runtimeId, journalId],
  )
  return { acked_seq: 0, now: runtime.now }
}
