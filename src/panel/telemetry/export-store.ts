/**
 * How far what runtimes reported went to a collector of OpenTelemetry, by the ledger that it was in. One process of the
 * panel sends at a time, and any may send next: all that is needed for it is stored with the cursor.
 */
import type { RuntimeEvent } from '../../core/events.ts'
import type { Dialect, PanelDatabase, Sql } from '../db/database.ts'
import { insert } from '../db/insert.ts'

/** A ledger with events that were not sent yet. */
export interface DueExport {
  runtime_id: string
  organization_id: string
  journal_id: string
  /** The last event that was sent, and the last one that is stored. */
  exported_seq: number
  stored_seq: number
  /** The runs that further calls may belong to, as JSON; null before the first events were sent. */
  runs: string | null
  /** Events that were deleted before they could be sent. */
  lost: number
  /** How often a person was erased from the runs. */
  erasures: number
  /** A kept state of the runtime, as JSON, before the first events were sent. */
  snapshot: string | null
  /** Until then an earlier ledger, of which this one is a restored copy, has reported the same. */
  sent_until: string | null
  /** Names of the runtime and its organization. */
  name: string
  organization: string
}

export interface ExportProgress
  extends Pick<DueExport, 'runtime_id' | 'organization_id' | 'journal_id' | 'lost' | 'erasures'> {
  exported_seq: number
  /** Null if they have not changed. */
  runs: string | null
}

export type StoredExport = RuntimeEvent & Pick<DueExport, 'runtime_id' | 'journal_id'>

/** Ledgers of one page. */
const MAX_LEDGERS = 200

export class ExportStore {
  readonly #database: PanelDatabase

  constructor(database: PanelDatabase) {
    this.#database = database
  }

  /** A ledger that was never sent begins with its stored events. */
  async begin(): Promise<void> {
    await this.#database.system.rows(
      `INSERT INTO exports (runtime_id, organization_id, journal_id)
       SELECT runtime_id, organization_id, journal_id FROM telemetry WHERE acked_seq > 0 AND NOT EXISTS
         (SELECT 1 FROM exports WHERE exports.runtime_id = telemetry.runtime_id AND exports.journal_id = telemetry.journal_id)
       ON CONFLICT DO NOTHING`,
    )
  }

  /** Ledgers with events to send, those first that have waited longest. */
  due(sql: Sql): Promise<DueExport[]> {
    return sql.rows<DueExport>(
      `SELECT exports.runtime_id, exports.organization_id, exports.journal_id, exported_seq, runs, exports.lost, exports.erasures,
         coalesce(exports.stored_seq, acked_seq) AS stored_seq,
         CASE WHEN runs IS NULL AND ${IS_PRESENT} THEN snapshot END AS snapshot,
         CASE WHEN ${IS_PRESENT} THEN counted_until END AS sent_until,
         runtimes.name, organizations.name AS organization
       FROM exports
         JOIN telemetry ON telemetry.runtime_id = exports.runtime_id
         JOIN runtimes ON runtimes.id = exports.runtime_id
         JOIN organizations ON organizations.id = exports.organization_id
       WHERE exported_seq < coalesce(exports.stored_seq, CASE WHEN ${IS_PRESENT} THEN acked_seq END)
       ORDER BY exported_at LIMIT ${MAX_LEDGERS}`,
    )
  }

  /** Of each ledger the events of some types among the next `count`, oldest first. */
  async events(
    sql: Sql,
    due: readonly DueExport[],
    types: readonly RuntimeEvent['type'][],
    count: number,
  ): Promise<StoredExport[]> {
    const { isIn } = this.#database.dialect
    const rows = await sql.rows<Omit<StoredExport, 'data'> & { data: string }>(
      `SELECT events.runtime_id, events.journal_id, seq, at, agent_id, level, type, message, data
       FROM exports JOIN events ON events.runtime_id = exports.runtime_id AND events.journal_id = exports.journal_id
         AND seq > exported_seq AND seq <= exported_seq + $2
       WHERE ${isIn('exports.runtime_id', '$1')} AND ${isIn('type', '$3')} ORDER BY seq`,
      [JSON.stringify(due.map(({ runtime_id }) => runtime_id)), count, JSON.stringify(types)],
    )
    return rows.map((row) => ({ ...row, data: JSON.parse(row.data) as unknown }) as StoredExport)
  }

  /**
   * The position sent; the runs that further calls may belong to. Those from before an erasure are not stored: their
   * events are sent once more.
   */
  async advance(sql: Sql, progress: readonly ExportProgress[], nowMs: number): Promise<void> {
    await insert(
      sql,
      'exports',
      progress.map((row) => ({ ...row, exported_at: nowMs })),
      () => ` ON CONFLICT (runtime_id, journal_id) DO UPDATE SET
        exported_seq = excluded.exported_seq, exported_at = excluded.exported_at,
        runs = coalesce(excluded.runs, exports.runs), lost = exports.lost - excluded.lost
        WHERE exports.exported_seq < excluded.exported_seq AND exports.erasures = excluded.erasures`,
    )
  }
}

const IS_PRESENT = 'telemetry.journal_id = exports.journal_id'

/** A ledger was replaced: no more events of it will come. */
export async function endJournal(
  sql: Sql,
  ledger: { runtime_id: string; organization_id: string; journal_id: string; stored_seq: number },
): Promise<void> {
  const end = () => ' ON CONFLICT (runtime_id, journal_id) DO UPDATE SET stored_seq = excluded.stored_seq'
  await insert(sql, 'exports', [ledger], end)
}

/** A ledger that was replaced is the present one again. Returns how far it has been stored; 0 if nothing of it is. */
export async function resumeJournal(sql: Sql, runtimeId: string, journalId: string): Promise<number> {
  const own = 'WHERE runtime_id = $1 AND journal_id = $2 AND stored_seq IS NOT NULL'
  const [ended] = await sql.rows<{ stored_seq: number }>(`SELECT stored_seq FROM exports ${own}`, [
    runtimeId,
    journalId,
  ])
  await sql.rows(`UPDATE exports SET stored_seq = NULL ${own}`, [runtimeId, journalId])
  return ended?.stored_seq ?? 0
}

/**
 * Counts the events that are about to be deleted and were not sent. `table`: where they are. `isPruned`: which of them.
 * (Default: all.)
 */
export async function countUnsent(
  { kind }: Dialect,
  sql: Sql,
  { table, isPruned = 'TRUE' }: { table: string; isPruned?: string },
): Promise<void> {
  const unsent = `FROM ${table} AS events WHERE events.runtime_id = exports.runtime_id
    AND events.journal_id = exports.journal_id AND seq > exported_seq AND ${isPruned}`
  // From then on they count as sent, so that no other process counts them again.
  const greatest = kind === 'postgres' ? 'greatest' : 'max'
  await sql.rows(
    `UPDATE exports SET lost = lost + (SELECT count(*) ${unsent}),
       exported_seq = ${greatest}(exported_seq, (SELECT coalesce(max(seq), 0) ${unsent}))
     WHERE EXISTS (SELECT 1 ${unsent})`,
  )
}

/** Of replaced ledgers of which nothing is stored any more. */
export async function deleteEnded(sql: Sql): Promise<void> {
  await sql.rows(
    `DELETE FROM exports WHERE NOT EXISTS
       (SELECT 1 FROM events WHERE events.runtime_id = exports.runtime_id AND events.journal_id = exports.journal_id)
     AND NOT EXISTS (SELECT 1 FROM telemetry WHERE telemetry.runtime_id = exports.runtime_id AND ${IS_PRESENT})`,
  )
}
