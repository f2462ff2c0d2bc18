import { desc, eq, getTableColumns, isNotNull } from 'drizzle-orm'
import type { AgentId } from '../../core/ids.ts'
import type { Database } from '../database.ts'
import { piiIncidents } from './schema.ts'

type StoredRow = typeof piiIncidents.$inferSelect
/** The fields of an incident that may be shown. */
export type IncidentRow = Omit<StoredRow, 'sealed_original'>

export function incidentTable({ orm }: Database) {
  const { sealed_original: _sealed, ...shown } = getTableColumns(piiIncidents)
  // A hundred of them share a turn: as SQL, since the query builder would take longer than SQLite.
  const columns = Object.keys(getTableColumns(piiIncidents))
  const insert = orm.$client.prepare(
    `INSERT INTO pii_incidents (${columns.map((name) => `"${name}"`).join(', ')}) VALUES (${columns.map((name) => `:${name}`).join(', ')})`,
  )
  return {
    insert: (row: StoredRow): void => void insert.run(row),

    /** Newest first. */
    find: ({ agentId, limit }: { agentId: AgentId | undefined; limit: number }): IncidentRow[] =>
      orm
        .select(shown)
        .from(piiIncidents)
        .where(agentId === undefined ? undefined : eq(piiIncidents.agent_id, agentId))
        .orderBy(desc(piiIncidents.at))
        .limit(limit)
        .all(),

    /** The sealed value; null when it was not stored, undefined when there is no such incident. */
    findOriginal: (id: string): Buffer | null | undefined =>
      orm.select().from(piiIncidents).where(eq(piiIncidents.id, id)).get()?.sealed_original,

    /** All stored values. */
    originals: (): { id: string; sealed: Buffer }[] =>
      orm
        .select()
        .from(piiIncidents)
        .where(isNotNull(piiIncidents.sealed_original))
        .all()
        .map(({ id, sealed_original }) => ({ id, sealed: sealed_original! })),

    putOriginal: (id: string, sealed_original: Buffer): void =>
      void orm.update(piiIncidents).set({ sealed_original }).where(eq(piiIncidents.id, id)).run(),
  }
}
