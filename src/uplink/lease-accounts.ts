/**
 * The leases of this runtime that are not accounted for yet: each has a row in the database and an account beside the
 * agent's own. A return is stored before it is reported.
 */

import { Account } from '../budget/account.ts'
import { subtract, ZERO_NANOS } from '../core/money.ts'
import type { Store } from '../db/store.ts'
import type { LeaseRow } from '../db/tables/leases.ts'
import type { LeaseUse } from '../protocol/lease-messages.ts'
import { after, type Deadline } from './deadline.ts'
import { givenBack, type JournalEntry, statementOf } from './lease-journal.ts'
import { heldOf, type Lease } from './lease-pool.ts'
import type { LeasePools } from './lease-pools.ts'

export interface LeaseAccountsOptions {
  store: Pick<Store, 'leases' | 'transaction'>
  pools: LeasePools
  /** After each end of a call: its unused money is free, or is to be returned. */
  onFreed: (lease: Lease) => void
}

export class LeaseAccounts implements Iterable<Lease> {
  readonly #store: LeaseAccountsOptions['store']
  readonly #pools: LeasePools
  readonly #onFreed: (lease: Lease) => void
  readonly #leases = new Map<string, Lease>()

  constructor({ store, pools, onFreed }: LeaseAccountsOptions) {
    this.#store = store
    this.#pools = pools
    this.#onFreed = onFreed
    for (const row of this.rows()) this.add(row)
  }

  [Symbol.iterator](): Iterator<Lease> {
    return this.#leases.values()
  }

  get size(): number {
    return this.#leases.size
  }

  find(id: string): Lease | undefined {
    return this.#leases.get(id)
  }

  rows(): LeaseRow[] {
    return this.#store.leases.open()
  }

  /** It pays for nothing before `use`. */
  add({ id, granted_nanos, used_nanos, returned_nanos }: LeaseRow): void {
    const held = this.#store.leases.heldOf(id)
    const totals = { spent: used_nanos, spentBefore: ZERO_NANOS, held }
    const account = new Account('shared', subtract(granted_nanos, returned_nanos), totals)
    const lease: Lease = { id, account, pool: this.#pools.base, ends: undefined }
    this.#leases.set(id, lease)
    this.#watch(lease)
  }

  /** Says whose calls a lease pays for, and until when. `from`: before the panel was asked. */
  use(id: string, { names, endsInMs }: LeaseUse, from: Deadline): void {
    const lease = this.#leases.get(id)
    if (!lease) return
    lease.pool.leases.delete(lease)
    lease.pool = this.#pools.for(names)
    lease.pool.leases.add(lease)
    lease.ends = endsInMs === null ? undefined : after(from, endsInMs)
  }

  /** Stored before it is reported; then the account has less to spend. */
  giveBack(leases: readonly Lease[]): void {
    const rows = new Map(this.rows().map((row) => [row.id, row]))
    this.#store.transaction(() => {
      for (const lease of leases) {
        const { id, account } = lease
        const row = rows.get(id)
        if (!row || account.available <= 0) continue
        const { returned } = givenBack(entryOf(row), heldOf(lease, row.used_nanos))
        this.#store.leases.setReturned(id, returned)
        account.limit = subtract(row.granted_nanos, returned)
      }
    })
  }

  /** The statement to the panel about a lease, also about a settled one. */
  statementOf(row: LeaseRow) {
    const lease = this.#leases.get(row.id)
    return statementOf(entryOf(row), lease ? heldOf(lease, row.used_nanos) : ZERO_NANOS)
  }

  remove(ids: readonly string[]): void {
    for (const id of ids) {
      const lease = this.#leases.get(id)
      lease?.pool.leases.delete(lease)
      this.#leases.delete(id)
    }
  }

  #watch(lease: Lease): void {
    const { account } = lease
    const before = account.spent
    account.onceChanged(() => {
      lease.pool.spent(subtract(account.spent, before))
      this.#watch(lease)
      this.#onFreed(lease)
    })
  }
}

export const paysForCalls = (lease: Lease): boolean => lease.pool.leases.has(lease)

export const entryOf = ({ id, granted_nanos, used_nanos, returned_nanos }: LeaseRow): JournalEntry => ({
  id,
  granted: granted_nanos,
  used: used_nanos,
  returned: returned_nanos,
})

export const rowOf = ({ id, granted, used, returned }: JournalEntry, signed: string | null): LeaseRow => ({
  id,
  signed,
  closed_at: null,
  granted_nanos: granted,
  used_nanos: used,
  returned_nanos: returned,
})
