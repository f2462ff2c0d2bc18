import { eq } from 'drizzle-orm'
import type { Database } from '../database.ts'
import { sessions } from './schema.ts'

export type SessionRow = typeof sessions.$inferSelect
export type SessionTable = ReturnType<typeof sessionTable>

export function sessionTable({ orm }: Database) {
  return {
    all: (): SessionRow[] => orm.select().from(sessions).all(),

    put: (row: SessionRow): void =>
      void orm.insert(sessions).values(row).onConflictDoUpdate({ target: sessions.id, set: row }).run(),

    remove: (id: string): void => void orm.delete(sessions).where(eq(sessions.id, id)).run(),
  }
}
