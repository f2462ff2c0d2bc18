import { asc, eq } from 'drizzle-orm'
import type { Database } from '../database.ts'
import { users } from './schema.ts'

export type UserRow = typeof users.$inferSelect
export type UserTable = ReturnType<typeof userTable>

export function userTable({ orm }: Database) {
  return {
    insert: (row: UserRow): void => void orm.insert(users).values(row).run(),

    /** By name. */
    all: (): UserRow[] => orm.select().from(users).orderBy(asc(users.username)).all(),

    change: (id: string, change: Partial<Omit<UserRow, 'id'>>): void =>
      void orm.update(users).set(change).where(eq(users.id, id)).run(),

    /** Removes the user and its sessions. */
    remove: (id: string): void => void orm.delete(users).where(eq(users.id, id)).run(),
  }
}
