/**
 * What a runtime and a Control Panel say to each other about leases. A lease is a slice of a shared budget that one
 * runtime may spend by itself. Amounts are nanodollars here, decimal strings in US dollars on the wire. Every message
 * may be lost, delayed or repeated without changing what is spent.
 */
import type { Nanodollars } from './money.ts'

/** A runtime begins to spend: the first message after each start. */
export interface OpenMessage {
  /** Identifies the ledger file; a restored one has a new identity. */
  journalId: string
}

/** The agent and the API token of a call whose own shared budgets pay as well; null for those without one. */
export interface CallerNames {
  agent: string | null
  token: string | null
}

/** Whose calls a lease pays for, and for how long. */
export interface LeaseUse {
  names: CallerNames
  /** When its period ends, from now, in ms: nothing new is held of it then. Null for never. */
  endsInMs: number | null
}

/** How long a runtime may spend of what it holds unless its organization says otherwise, in s. */
export const DEFAULT_COVER_S = 10

export interface Opened {
  /** Numbers the starts of a runtime: messages of an earlier one are refused. */
  epoch: number
  /** The leases that go on. The runtime must not spend any other. */
  leases: ({ id: string; granted: Nanodollars } & LeaseUse)[]
  /** How long the runtime may spend without hearing from the panel, in ms. */
  ttlMs: number
  /** How long it may spend of what it holds: the size of its slices, in s. */
  coverS: number
}

export interface LeaseRequest extends CallerNames {
  epoch: number
  /** Counts the requests of an epoch: a repeated one gets the same lease. */
  request: number
  /** The maximum cost of the call that waits. */
  least: Nanodollars
  /** What the runtime expects to spend soon. */
  want: Nanodollars
}

/** The state of the budget that has the least money, for messages and the screen. */
export interface SharedBalance {
  /** Such as "organization acme". */
  budget: string
  limit: Nanodollars
  settled: Nanodollars
  /** Neither settled nor lent to any runtime. */
  free: Nanodollars
  /** When its period ends, in ms since 1970 by the panel's clock; null for a budget that does not renew. */
  endsAt: number | null
}

/** `isScarce`: money is short, so everything that no running call holds is to be returned at once. */
export type LeaseAnswer = { balance: SharedBalance; isScarce: boolean } & (
  | ({ outcome: 'granted'; id: string; granted: Nanodollars } & LeaseUse)
  /** The money is spent. */
  | { outcome: 'exhausted' }
  /** Other runtimes have it. */
  | { outcome: 'lent' }
)

/** What a runtime says of a lease: totals that only grow. */
export interface Statement {
  id: string
  used: Nanodollars
  returned: Nanodollars
  /** By running and unresolved calls, for the screen. */
  held: Nanodollars
  /** Nothing of it will be spent any more. */
  isFinal: boolean
}

export interface Report {
  epoch: number
  statements: Statement[]
  /** Of the list that the runtime has; -1 without one. */
  budgetsVersion: number
}

/** What the callers with the same budgets have. */
export interface PoolBalance extends CallerNames {
  balance: SharedBalance
  isScarce: boolean
}

export interface Reported {
  ttlMs: number
  coverS: number
  budgetsVersion: number
  /** The agents and tokens with shared budgets of their own, if the runtime's list was another one. */
  budgets?: readonly NamedBudget[]
  /** Of callers without budgets of their own, and of those whose leases were reported. */
  pools: PoolBalance[]
}

export interface NamedBudget {
  scope: 'agent' | 'token'
  name: string
}

/** The panel as a runtime sees it. Throws CageError `runtime_fenced`, `runtime_revoked` or `panel_unreachable`. */
export interface LeaseBank {
  open(message: OpenMessage): Promise<Opened>
  request(request: LeaseRequest): Promise<LeaseAnswer>
  report(report: Report): Promise<Reported>
}
