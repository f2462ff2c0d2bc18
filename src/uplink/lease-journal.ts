/**
 * A runtime's knowledge of a lease, and its consequences. Pure; `lease-accounts.ts` stores it, `lease-exchange.ts`
 * sends it.
 */

import { add, max, type Nanodollars, subtract, ZERO_NANOS } from '../core/money.ts'
import { type Opened, type RequestNumber, requestOf, type Statement } from '../protocol/lease-messages.ts'

/** One row of the journal. `used`: by ended calls whose rows are committed. */
export interface JournalEntry {
  id: string
  granted: Nanodollars
  used: Nanodollars
  returned: Nanodollars
}

/** The amount that may still be held of it. `held`: by running and unresolved calls. */
export const roomOf = ({ granted, used, returned }: JournalEntry, held: Nanodollars): Nanodollars =>
  subtract(granted, add(used, returned, held))

/** The entry after everything that no call holds was given back. It must be stored before it is reported. */
export const givenBack = (entry: JournalEntry, held: Nanodollars): JournalEntry => ({
  ...entry,
  returned: add(entry.returned, max(ZERO_NANOS, roomOf(entry, held))),
})

/** Totals that only grow, so that a repeated or late statement changes nothing. */
export const statementOf = (entry: JournalEntry, held: Nanodollars): Statement => ({
  id: entry.id,
  used: entry.used,
  returned: entry.returned,
  held,
  isFinal: held === 0 && roomOf(entry, held) <= 0,
})

/**
 * What to do with the leases that the panel listed when an epoch began. A lease that never arrived is `returned`
 * untouched: this journal would know it otherwise. One that the panel no longer lists is `ended`: a person resolved it, and
 * nothing more of it may be spent. `next`: the request that this journal was to make. What answered an earlier one did
 * arrive, and was removed once it was accounted for: a panel that lists it has forgotten that, and it is left to a person.
 */
export function reconcile(
  known: readonly JournalEntry[],
  { leases }: Pick<Opened, 'leases'>,
  next: RequestNumber,
): { returned: JournalEntry[]; ended: string[] } {
  const here = new Set(known.map(({ id }) => id))
  const listed = new Set(leases.map(({ id }) => id))
  const missing = leases.filter(({ id }) => !here.has(id) && !isBefore(requestOf(id), next))
  return {
    returned: missing.map(({ id, granted }) => ({ id, granted, used: ZERO_NANOS, returned: granted })),
    ended: known.map(({ id }) => id).filter((id) => !listed.has(id)),
  }
}

const isBefore = (one: RequestNumber | undefined, other: RequestNumber): boolean =>
  one !== undefined && (one.epoch < other.epoch || (one.epoch === other.epoch && one.request < other.request))
