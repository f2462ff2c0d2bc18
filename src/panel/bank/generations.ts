/**
 * Books that have lost their last commits: PostgreSQL failed over to a server that followed asynchronously, or an older
 * copy was put back. Leases of those commits would be granted again, and spent money would be free.
 *
 * The rules are:
 * - Books know which database they are in (`db/generation-store.ts`). In another one they begin a generation, in the
 *   transaction that finds it out.
 * - A runtime's messages count again when it has presented every lease that it remembers, with the bank's signature and
 *   its outcome. Those that the books forgot are entered, also beyond the limit: the money is lent or spent.
 * - Until every runtime has done so nothing is lent. One that stays silent for longer than it may spend is not waited for.
 * - A signed lease that the books do not know, from a runtime whose messages count in this generation, proves that they
 *   are older than it: that begins a generation as well.
 */

import { ZERO_NANOS } from '../../core/money.ts'
import type { Statement } from '../../protocol/lease-messages.ts'
import { type Books, enterLease, recordStatement, renewed, requireCountable, requireRuntime } from './bank.ts'
import { readSigned, type SignedLease } from './signatures.ts'

/** Slack of a runtime's clock against the database's, in ms. */
export const SILENCE_SLACK_MS = 10_000

/** A statement, and the lease as it was signed. */
export interface Presented {
  signed: string
  lease: SignedLease
  statement: Statement
}

/** Those that can be read, and are for this runtime. */
export const readPresented = (runtimeId: string, presented: readonly { signed: string; statement: Statement }[]) =>
  presented.flatMap(({ signed, statement }): Presented[] => {
    const lease = readSigned(signed)
    return lease?.runtimeId === runtimeId && lease.id === statement.id ? [{ signed, lease, statement }] : []
  })

/**
 * Enters the leases that the books forgot, and records the statement about each; without the bank's signature it counts
 * for nothing. Throws CageError `runtime_revoked` or `invalid_amount`.
 */
export function presentLeases(books: Books, runtimeId: string, presented: readonly Presented[], ttlMs: number): void {
  const { organizationId, generation } = requireRuntime(books, runtimeId)
  const own = presented.filter(({ signed }) => books.signatures.isOwn(signed))
  const said = own.map(({ lease, statement }) => {
    // A budget that was created in the lost commits is gone; the organization's remains.
    const path = lease.path.filter((id) => books.budgets.has(id))
    const forgotten = { ...lease, organizationId, path, ...NOTHING, ...renewed(books, ttlMs) }
    return { statement, used: statement.used, lease: books.leases.get(lease.id) ?? forgotten }
  })
  requireCountable(books, said)
  for (const { lease, statement } of said) {
    if (!books.leases.has(lease.id)) {
      enterLease(books, lease)
      // It has presented what these books forgot: they have lost commits since.
      if (generation === books.generation) books.hasForgotten = true
    }
    if (lease.state !== 'quarantined') recordStatement(books, lease, statement, ttlMs)
  }
  if (books.hasForgotten) books.isReconciling = true
}

const NOTHING = { used: ZERO_NANOS, returned: ZERO_NANOS, held: ZERO_NANOS }
