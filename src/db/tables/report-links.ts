import { and, desc, eq, gt, isNull } from 'drizzle-orm'
import type { AgentId } from '../../core/ids.ts'
import type { Database } from '../database.ts'
import { reportLinks } from './schema.ts'

export type ReportLinkRow = typeof reportLinks.$inferSelect

export function reportLinkTable({ orm }: Database) {
  return {
    insert: (row: ReportLinkRow): void => void orm.insert(reportLinks).values(row).run(),

    /** Unless it was revoked. */
    byHash: (hash: string): ReportLinkRow | undefined =>
      orm
        .select()
        .from(reportLinks)
        .where(and(eq(reportLinks.hash, hash), isNull(reportLinks.revoked_at)))
        .get(),

    /** Those of an agent that were not revoked and expire later, newest first. */
    ofAgent: (agentId: AgentId, at: string): ReportLinkRow[] =>
      orm
        .select()
        .from(reportLinks)
        .where(and(eq(reportLinks.agent_id, agentId), isNull(reportLinks.revoked_at), gt(reportLinks.expires_at, at)))
        .orderBy(desc(reportLinks.created_at))
        .all(),

    /** Returns false when there is no such link. */
    revoke: (id: string, at: string): boolean =>
      orm
        .update(reportLinks)
        .set({ revoked_at: at })
        .where(and(eq(reportLinks.id, id), isNull(reportLinks.revoked_at)))
        .run().changes === 1,
  }
}
