import { and, eq, gt, inArray, isNotNull, isNull, lt, sql } from 'drizzle-orm'
import { type Nanodollars, ZERO_NANOS } from '../../core/money.ts'
import type { Database } from '../database.ts'
import { leases, ledger } from './schema.ts'

export type LeaseRow = typeof leases.$inferSelect

/** Slices of shared budgets. */
export function leaseTable({ orm }: Database) {
  // With every call of a runtime that shares a budget.
  const use = orm.$client.prepare(
    'UPDATE leases SET used_nanos = used_nanos + :cost WHERE id = :id AND closed_at IS NULL',
  )

  return {
    /** Those that are not accounted for yet. */
    open: (): LeaseRow[] => orm.select().from(leases).where(isNull(leases.closed_at)).all(),

    /** Of all that the panel signed, in the order of their ids, those after `id`. */
    signedAfter: (id: string, limit: number): LeaseRow[] =>
      orm
        .select()
        .from(leases)
        .where(and(isNotNull(leases.signed), gt(leases.id, id)))
        .orderBy(leases.id)
        .limit(limit)
        .all(),

    /** Those of these that are accounted for. */
    closedOf: (ids: readonly string[]): LeaseRow[] =>
      orm
        .select()
        .from(leases)
        .where(and(isNotNull(leases.closed_at), inArray(leases.id, [...ids])))
        .all(),

    insert: (row: LeaseRow): void => void orm.insert(leases).values(row).onConflictDoNothing().run(),

    /** Adds the cost of an ended call. */
    use: (id: string, cost: Nanodollars): void => void use.run({ id, cost }),

    setReturned: (id: string, returned_nanos: Nanodollars): void =>
      void orm.update(leases).set({ returned_nanos }).where(eq(leases.id, id)).run(),

    /** `closed_at`: null for one that is to be accounted for again. */
    setClosed: (ids: readonly string[], closed_at: number | null): void =>
      void orm
        .update(leases)
        .set({ closed_at })
        .where(inArray(leases.id, [...ids]))
        .run(),

    /** Closes those that are open, as if they were spent in full. */
    presumeSpent: (closed_at: number): void =>
      void orm
        .update(leases)
        .set({ closed_at, used_nanos: sql`${leases.granted_nanos} - ${leases.returned_nanos}` })
        .where(isNull(leases.closed_at))
        .run(),

    removeClosedBefore: (time: number): void => void orm.delete(leases).where(lt(leases.closed_at, time)).run(),

    removeAll: (): void => void orm.delete(leases).run(),

    /** What open and unresolved calls hold of a lease. */
    heldOf: (id: string): Nanodollars =>
      orm
        .select({ held: sql<Nanodollars | null>`sum(${ledger.held_nanos})` })
        .from(ledger)
        .where(and(eq(ledger.lease_id, id), inArray(ledger.state, ['held', 'unresolved'])))
        .get()?.held ?? ZERO_NANOS,
  }
}
