/**
 * Messages about leases between a runtime and a Control Panel. A lease is a slice of a shared budget that one runtime
 * may spend by itself. Amounts are nanodollars here, decimal strings in US dollars on the wire. Every message may be
 * lost, delayed or repeated without changing the amount spent.
 */
import type { Nanodollars } from '../core/money.ts'

/** A runtime begins to spend: the first message after each start. */
export interface OpenMessage {
  /** Identifies the ledger file; a restored one has a new identity. */
  journalId: string
  /** The last epoch that it knows; 0 for none. Epochs never repeat, also when the panel has forgotten some. */
  epoch: number
  /**
   * The generation of the panel's books that it has presented its leases to; 0 for none, undefined from a runtime that has
   * nothing signed.
   */
  generation?: number | undefined
  bookmark?: string | null
  /** Undefined from an earlier version. */
  opening?: Opening | undefined
}

/**
 * Which of a ledger's openings it is. Each follows the one that was answered last, so that two copies of a ledger
 * cannot both be accepted: the first one's opening is unknown to the other.
 */
export interface Opening {
  /** Repeated until it is answered. */
  id: string
  /** Null for the first one. */
  after: string | null
}

/** The id of a lease names the request that it answers. */
export const leaseId = (runtimeId: string, { epoch, request }: RequestNumber): string =>
  `lease-${runtimeId.replace(/^runtime-/, '')}-${epoch}-${request}`

/** Undefined for a text that is no id of a lease. */
export function requestOf(id: string): RequestNumber | undefined {
  const [, epoch, request] = /-(\d+)-(\d+)$/.exec(id) ?? []
  return epoch === undefined ? undefined : { epoch: Number(epoch), request: Number(request) }
}

/** Counts the requests of an epoch: a repeated one gets the same lease. */
export interface RequestNumber {
  epoch: number
  request: number
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

/** How long a runtime may spend its leases unless its organization sets another time, in s. */
export const DEFAULT_COVER_S = 10

export interface Opened {
  /** Numbers the starts of a runtime: messages of an earlier one are refused. */
  epoch: number
  /** The leases that go on. The runtime must not spend any other. */
  leases: ({ id: string; granted: Nanodollars } & LeaseUse)[]
  /** How long the runtime may spend without hearing from the panel, in ms. */
  ttlMs: number
  /** How long it may spend its leases: the size of its slices, in s. */
  coverS: number
  /**
   * Of the panel's books: another one than the runtime knows means that the panel's database has lost its last commits,
   * and the runtime must present its leases and open again before its messages count. Undefined from an earlier
   * version.
   */
  generation?: number
}

export interface OpenAnswer extends Opened {
  /** How many leases of the runtime wait for a person. Undefined from an earlier version. */
  quarantinedCount?: number
}

export interface LeaseRequest extends CallerNames, RequestNumber {
  /** The maximum cost of the call that waits. */
  least: Nanodollars
  /** The runtime's expected spending. */
  want: Nanodollars
  bookmark?: string | null
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
  | ({ outcome: 'granted'; id: string; granted: Nanodollars; signed: string | null } & LeaseUse)
  /** The money is spent. */
  | { outcome: 'exhausted' }
  /** Other runtimes have it. */
  | { outcome: 'lent' }
)

/** A runtime's statement about a lease: totals that only grow. */
export interface Statement {
  id: string
  used: Nanodollars
  returned: Nanodollars
  /** By running and unresolved calls, for the screen. */
  held: Nanodollars
  /** Nothing of it will be spent any more. */
  isFinal: boolean
}

/**
 * A runtime's statement about a lease that the panel may have forgotten. `signed`: by the panel, when it was granted.
 */
export type PresentedLease = Statement & { signed: string }

export interface Report {
  epoch: number
  statements: Statement[]
  /** Of the list that the runtime has; -1 without one. */
  budgetsVersion: number
  bookmark?: string | null
}

/** The balance of callers with the same budgets. */
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
  /** The leases that the panel does not know: it has forgotten them, and they must be presented. */
  unknown: string[]
  /** How far the panel's books are, signed; null from an earlier version. To be sent with each message. */
  bookmark: string | null
}

export interface NamedBudget {
  scope: 'agent' | 'token'
  name: string
}

/** The panel as a runtime sees it. Throws CageError `runtime_fenced`, `runtime_revoked` or `panel_unreachable`. */
export interface LeaseBank {
  open(message: OpenMessage): Promise<OpenAnswer>
  request(request: LeaseRequest): Promise<LeaseAnswer>
  present(leases: readonly PresentedLease[]): Promise<void>
  report(report: Report): Promise<Reported>
}
