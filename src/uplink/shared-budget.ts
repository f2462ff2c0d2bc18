/** The budgets that this runtime shares with others through a Control Panel, as far as is known here. */

import { isoTime } from '../core/clock.ts'
import type { ErrorCode } from '../core/errors.ts'
import { add, max, subtract, toUsd, type Usd, ZERO_NANOS } from '../core/money.ts'
import type { Store } from '../db/store.ts'
import type { KnownBalance } from './lease-pool.ts'
import type { Leases } from './leases.ts'
import { readMembership } from './membership.ts'

export interface SharedBudget {
  /** The panel's address. */
  panel: string
  /** The runtime's name there. */
  name: string
  /** Why the panel does not answer; null while it does, and before it was asked. */
  fault: { code: ErrorCode; message: string } | null
  /** Whether calls can be paid from what this machine was lent. */
  can_spend: boolean
  /** The tightest of the budgets that pay for any call, then those of agents and tokens that called. Empty before the panel answered. */
  balances: SharedBalanceView[]
  /** Lent to this machine and not spent. */
  lent_usd: Usd
}

export interface SharedBalanceView {
  /** Such as "organization acme". */
  budget: string
  limit_usd: Usd
  spent_usd: Usd
  /** Neither spent nor lent to any machine. */
  free_usd: Usd
  /** End of its period; null for a budget that does not renew. */
  ends_at: string | null
  /** When the panel answered. */
  heard_at: string
}

/** Null for a runtime that has joined no panel. `leases`: undefined while no server runs. */
export function readSharedBudget(store: Store, leases: Leases | undefined): SharedBudget | null {
  const membership = readMembership(store)
  if (!membership) return null
  const { fault, canSpend, balances } = leases?.known() ?? { fault: undefined, canSpend: false, balances: [] }
  const lent = store.leases
    .open()
    .map((row) => max(ZERO_NANOS, subtract(row.granted_nanos, add(row.used_nanos, row.returned_nanos))))
  return {
    panel: membership.url,
    name: membership.name,
    fault: fault ? { code: fault.code, message: fault.message } : null,
    can_spend: canSpend,
    balances: balances.map(viewOf),
    lent_usd: toUsd(add(...lent)),
  }
}

/** How long the start of a server waits for its panel, in ms; calls wait for themselves. */
const FIRST_ANSWER_MS = 1_000

/** The same after the panel's first answer, if that comes soon. */
export async function awaitSharedBudget(store: Store, leases: Leases | undefined): Promise<SharedBudget | null> {
  await leases?.firstAnswer(FIRST_ANSWER_MS)
  return readSharedBudget(store, leases)
}

const viewOf = ({ budget, limit, settled, free, endsAt, heardAt }: KnownBalance): SharedBalanceView => ({
  budget,
  limit_usd: toUsd(limit),
  spent_usd: toUsd(settled),
  free_usd: toUsd(free),
  ends_at: endsAt === null ? null : isoTime(endsAt),
  heard_at: isoTime(heardAt),
})
