import { eq, inArray, sql } from 'drizzle-orm'
import { type Nanodollars, ZERO_NANOS } from '../money.ts'
import type { Database } from './database.ts'
import { calls, leases } from './schema.ts'

export type LeaseTable = ReturnType<typeof leaseTable>
export type LeaseRow = typeof leases.$inferSelect

/** The leases that are not accounted for yet. */
export function leaseTable({ orm }: Database) {
  // With every call of a runtime that shares a budget.
  const use = orm.$client.prepare('UPDATE leases SET used_nanos = used_nanos + :cost WHERE id = :id')

  return {
    all: (): LeaseRow[] => orm.select().from(leases).all(),

    insert: (row: LeaseRow): void => void orm.insert(leases).values(row).onConflictDoNothing().run(),

    /** Adds what an ended call cost. */
    use: (id: string, cost: Nanodollars): void => void use.run({ id, cost }),

    setReturned: (id: string, returned_nanos: Nanodollars): void =>
      void orm.update(leases).set({ returned_nanos }).where(eq(leases.id, id)).run(),

    remove: (ids: readonly string[]): void =>
      void orm
        .delete(leases)
        .where(inArray(leases.id, [...ids]))
        .run(),

    /** What open and unresolved calls hold of a lease. */
    heldOf: (id: string): Nanodollars =>
      orm
        .select({ held: sql<Nanodollars | null>`sum(${calls.held_nanos})` })
        .from(calls)
        .where(sql`${calls.lease_id} = ${id} AND ${calls.state} IN ('held', 'unresolved')`)
        .get()?.held ?? ZERO_NANOS,
  }
}
