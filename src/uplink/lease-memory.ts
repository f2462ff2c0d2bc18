/**
 * A runtime's memory of its leases, for a panel that lost commits: which request comes next, the generation of the
 * panel's books, and the leases that were accounted for, for a week. A panel's database that is older than that has
 * lost them.
 */
import { randomUUID } from 'node:crypto'
import type { Clock } from '../core/clock.ts'
import type { Store } from '../db/store.ts'
import type { LeaseRow } from '../db/tables/leases.ts'
import type { Opening, RequestNumber } from '../protocol/lease-messages.ts'

const KEPT_MS = 7 * 86_400_000
const NEXT = 'panel.next'
const GENERATION = 'panel.generation'
/** The opening that is under way, and the one that was answered last. */
const OPENING = 'panel.opening'
const OPENED = 'panel.opened'
/** Of one message. */
const MAX_PRESENTED = 200

export class LeaseMemory {
  readonly #store: Pick<Store, 'leases' | 'meta' | 'transactionOnDisk'>
  readonly #clock: Clock

  constructor(store: Pick<Store, 'leases' | 'meta' | 'transactionOnDisk'>, clock: Clock) {
    this.#store = store
    this.#clock = clock
  }

  /** The request that is to be made. Null before the first epoch. */
  get next(): RequestNumber | null {
    const stored = this.#store.meta.get(NEXT)
    return stored ? (JSON.parse(stored) as RequestNumber) : null
  }

  set next(request: RequestNumber) {
    this.#store.meta.put(NEXT, JSON.stringify(request))
  }

  /** Of the books that every lease was presented to; 0 for none. */
  get generation(): number {
    return Number(this.#store.meta.get(GENERATION) ?? 0)
  }

  set generation(generation: number) {
    this.#store.meta.put(GENERATION, String(generation))
  }

  /** The opening to be sent, which is on the disk before the panel can know it. */
  get opening(): Opening {
    const { meta, transactionOnDisk } = this.#store
    const after = meta.get(OPENED) || null
    const underWay = meta.get(OPENING)
    if (underWay) return { id: underWay, after }
    const id = randomUUID()
    transactionOnDisk(() => meta.put(OPENING, id))
    return { id, after }
  }

  /** It was answered. */
  opened({ id }: Opening): void {
    this.#store.meta.put(OPENED, id)
    this.#store.meta.put(OPENING, '')
  }

  /** Those that the panel signed, as many at a time as one message may have. */
  *signed(): Generator<(LeaseRow & { signed: string })[]> {
    let rows: LeaseRow[] = []
    do {
      rows = this.#store.leases.signedAfter(rows.at(-1)?.id ?? '', MAX_PRESENTED)
      yield rows.map((row) => ({ ...row, signed: row.signed! }))
    } while (rows.length === MAX_PRESENTED)
  }

  /** They are accounted for on the panel. */
  close(ids: readonly string[]): void {
    const now = this.#clock.now()
    this.#store.leases.setClosed(ids, now)
    this.#store.leases.removeClosedBefore(now - KEPT_MS)
  }

  /** A panel has forgotten that these are accounted for. Returns those that are open again. */
  reopen(ids: readonly string[]): LeaseRow[] {
    const rows = this.#store.leases.closedOf(ids)
    const reopened = rows.map(({ id }) => id)
    this.#store.leases.setClosed(reopened, null)
    return rows
  }
}

/** After a runtime has left its panel: another one did not lend it. */
export function forgetLeases({ leases, meta }: Pick<Store, 'leases' | 'meta'>): void {
  leases.removeAll()
  for (const key of [NEXT, GENERATION, OPENING, OPENED]) meta.put(key, '')
}
