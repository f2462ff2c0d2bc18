import { and, asc, eq, isNull } from 'drizzle-orm'
import type { Database } from '../database.ts'
import { apiTokens } from './schema.ts'

export type ApiTokenRow = typeof apiTokens.$inferSelect
export type ApiTokenTable = ReturnType<typeof apiTokenTable>

export function apiTokenTable({ orm }: Database) {
  return {
    insert: (row: ApiTokenRow): void => void orm.insert(apiTokens).values(row).run(),

    /** Oldest first, including revoked ones. */
    all: (): ApiTokenRow[] => orm.select().from(apiTokens).orderBy(asc(apiTokens.created_at)).all(),

    expire: (id: string, at: string): void =>
      void orm.update(apiTokens).set({ expires_at: at }).where(eq(apiTokens.id, id)).run(),

    /** Returns false when there is no such valid token. */
    revoke: (id: string, at: string): boolean =>
      orm
        .update(apiTokens)
        .set({ revoked_at: at })
        .where(and(eq(apiTokens.id, id), isNull(apiTokens.revoked_at)))
        .run().changes === 1,
  }
}
