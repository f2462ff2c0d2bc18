import { desc, eq } from 'drizzle-orm'
import type { Database } from './database.ts'
import { piiIncidents } from './schema.ts'

export type IncidentRow = typeof piiIncidents.$inferSelect

export function incidentTable({ orm }: Database) {
  return {
    insert: (row: IncidentRow): void => void orm.insert(piiIncidents).values(row).run(),

    /** Newest first. */
    find: ({ agentId, limit }: { agentId: string | undefined; limit: number }): IncidentRow[] =>
      orm
        .select()
        .from(piiIncidents)
        .where(agentId === undefined ? undefined : eq(piiIncidents.agent_id, agentId))
        .orderBy(desc(piiIncidents.at))
        .limit(limit)
        .all(),
  }
}
