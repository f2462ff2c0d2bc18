/**
 * The identity of this ledger for the panel: its statements about leases count as long as it is the same one. A power
 * failure takes the commits that the system has not written to the disk yet, so the ledger's amounts are too small
 * afterwards: it continues as another one, like a restored copy, and its leases wait for a person.
 */
import { randomUUID } from 'node:crypto'
import { bootId } from '../core/boot-id.ts'
import type { Clock } from '../core/clock.ts'
import type { Store } from '../db/store.ts'

/** A restored database has none, and gets a new one. */
export const JOURNAL = 'panel.journal'
/** While a server's last commits may not be on the disk: when the system was started. */
export const UNWRITTEN_SINCE = 'panel.unwritten_since'

export interface Journal {
  readonly id: string
  /** When nothing more will be held of leases. */
  close(): void
}

/** Opens the journal of a server. `boot`: of the system. (Default: as it says.) */
export function openJournal(store: Store, clock: Clock, boot = bootId()): Journal {
  const { meta, leases, synchronous } = store
  const known = meta.get(JOURNAL)
  const unwrittenSince = meta.get(UNWRITTEN_SINCE)
  const isBelieved = known && (!unwrittenSince || unwrittenSince === boot)
  const id = isBelieved ? known : randomUUID()
  // Before the first lease: a disk without this mark must have everything that was spent.
  store.transactionOnDisk(() => {
    if (!isBelieved) leases.presumeSpent(clock.now())
    meta.put(JOURNAL, id)
    meta.put(UNWRITTEN_SINCE, synchronous === 'full' ? '' : boot)
  })
  return { id, close: () => store.transactionOnDisk(() => meta.put(UNWRITTEN_SINCE, '')) }
}

/** The identity of the journal, made when it is first needed. */
export function journalIdOf({ meta }: Pick<Store, 'meta'>): string {
  const known = meta.get(JOURNAL)
  if (known) return known
  const id = randomUUID()
  meta.put(JOURNAL, id)
  return id
}
