/**
 * The bank: who may spend how much of a budget that several runtimes share. Decides on rows in memory; a store
 * (`bank-store.ts`) loads them locked, and writes what changed in one transaction before anybody is answered.
 *
 * The rules are:
 * - settled + escrow ≤ limit at each grant, in every budget of the path. Escrow is what runtimes were lent and have not
 *   accounted for.
 * - Escrow is freed by a runtime's own statement or by a person, never by time: the spending of a silent runtime is
 *   unknown.
 * - A request that is repeated gets the same lease; statements are totals that only grow. So every message may be lost,
 *   delayed, or repeated.
 * - Each start of a runtime begins an epoch, and messages of an earlier one are refused.
 * - A runtime that comes back with another ledger has lost its data: its leases are quarantined until a person enters
 *   the amount spent.
 * - Books that have lost commits begin a generation (`generations.ts`): nothing is lent until runtimes have presented the
 *   leases that the books forgot.
 * - A lease counts in the periods of its grant: its later spending still counts there, and a new lease counts in the
 *   new ones. So a border needs no agreement about the time.
 * - A function throws before it changes anything, or not at all.
 */
import { isoTime } from '../../core/clock.ts'
import { AboveLentError, CageError } from '../../core/errors.ts'
import {
  add,
  divide,
  MAX_NANOS,
  max,
  min,
  type Nanodollars,
  nanodollars,
  showExactUsd,
  subtract,
  toUsd,
  ZERO_NANOS,
} from '../../core/money.ts'
import {
  type CallerNames,
  DEFAULT_COVER_S,
  type LeaseAnswer,
  type LeaseRequest,
  leaseId,
  type Opened,
  type Opening,
  type OpenMessage,
  type PoolBalance,
  type Reported,
  type SharedBalance,
  type Statement,
} from '../../protocol/lease-messages.ts'
import { budgetIdOf } from './periods.ts'
import { Signatures } from './signatures.ts'

/** From the widest to the narrowest. An organization pays for all; `agent` and `token` are named by each call. */
export const SHARED_SCOPES = ['organization', 'team', 'user', 'agent', 'token'] as const
export type SharedScope = (typeof SHARED_SCOPES)[number]

/** The account of a budget: in one period, or for ever. */
export interface BudgetRow {
  /** Of the account (`periods.ts`). */
  id: string
  organizationId: string
  scope: SharedScope
  name: string
  limit: Nanodollars
  settled: Nanodollars
  escrow: Nanodollars
  /** Until then money counts as scarce, in ms since 1970: a request found too little. */
  scarceUntil: number
  /** When its period ends, in ms since 1970; null for one that does not renew. */
  endsAt: number | null
}

export interface RuntimeRow {
  id: string
  organizationId: string
  /** The budgets that pay for all its calls, the organization's first. */
  path: readonly string[]
  /** Null before it first opened. */
  journalId: string | null
  /** The last one of this journal; null before it, and from an earlier version. */
  opening: string | null
  /** Its last message in its epoch, to within a part of the time it may spend without, in ms since 1970. */
  heardAt: number
  epoch: number
  /** Of the books that it has presented its leases to. */
  generation: number
  isRevoked: boolean
}

export type LeaseState = 'active' | 'expired' | 'quarantined' | 'closed'

export interface LeaseRow {
  id: string
  organizationId: string
  runtimeId: string
  /** The accounts that it was taken from. */
  path: readonly string[]
  granted: Nanodollars
  used: Nanodollars
  returned: Nanodollars
  held: Nanodollars
  state: LeaseState
  /** When it counts as expired unless its runtime reports, in ms since 1970 by the database's clock. */
  expiresAt: number
}

/** One movement of money, never edited. */
export interface Transfer {
  organizationId: string
  leaseId: string
  /** `overrun`: spent beyond the lease; `presumed`, `released`: decided by a person. */
  kind: 'granted' | 'charged' | 'returned' | 'overrun' | 'presumed' | 'released'
  amount: Nanodollars
  /** Who decided it; null for a runtime's own statement. */
  by: string | null
  reason: string | null
}

/** A person's decisions. */
export interface AuditEntry {
  organizationId: string
  actor: string
  action: string
  target: string
  details: Readonly<Record<string, string | number | null>>
}

/** The rows that a decision may read and change. */
export class Books {
  readonly runtimes = new Map<string, RuntimeRow>()
  readonly budgets = new Map<string, BudgetRow>()
  readonly leases = new Map<string, LeaseRow>()
  readonly transfers: Transfer[] = []
  readonly entries: AuditEntry[] = []
  /** Rows to be written. */
  readonly changed = new Set<RuntimeRow | BudgetRow | LeaseRow>()
  /** Settings and counts of organizations. */
  readonly organizations = new Map<string, OrganizationFacts>()
  /** The accounts in which budgets count now, by the ids of those that renew. */
  readonly current = new Map<string, string>()
  /** The ids of the budgets of agents and tokens that were named, by `nameOf`. */
  readonly named = new Map<string, string>()
  /** The database's time, in ms since 1970. */
  now = 0
  /** When these books began: at the latest loss of commits, in ms since 1970; 0 for none. */
  generation = 0
  /** There may be leases that these books have forgotten: what looks free may be lent. */
  isReconciling = false
  /** A runtime has proved that these books have lost commits. */
  hasForgotten = false
  /** A generation begins now, and may reconcile until then, in ms since 1970. */
  reconciledUntil: number | null = null
  /** How far these books are, as runtimes keep it. */
  bookmark = ''
  signatures = new Signatures(new Uint8Array())

  change<Row extends RuntimeRow | BudgetRow | LeaseRow>(row: Row, change: Partial<Row>): void {
    Object.assign(row, change)
    this.changed.add(row)
  }

  addLease(lease: LeaseRow): void {
    this.leases.set(lease.id, lease)
    this.changed.add(lease)
  }

  move(lease: LeaseRow, kind: Transfer['kind'], amount: Nanodollars, decision?: Decision): void {
    if (amount === 0) return
    const { by = null, reason = null } = decision ?? {}
    this.transfers.push({ organizationId: lease.organizationId, leaseId: lease.id, kind, amount, by, reason })
  }
}

export interface OrganizationFacts {
  /** Runtimes that spend. */
  spending: number
  /** How long runtimes may spend their leases, in s. */
  coverS: number
  /** Counts the budgets of agents and tokens that were created. */
  budgetsVersion: number
}

/** A key of `Books.named`. */
export const nameOf = (organizationId: string, scope: SharedScope, name: string): string =>
  JSON.stringify([organizationId, scope, name])

/** A person's decision. */
export interface Decision {
  by: string
  reason: string
}

/** `isAboveLent`: more was spent than was lent, as by calls that cost more than they held. (Default: false.) */
export interface Resolution extends Decision {
  isAboveLent?: boolean
}

/** Slack of the database's clock against a runtime's, in ms. */
const EXPIRY_SLACK_MS = 5_000
/** A budget with less than this part of its limit free is scarce. */
const SCARCE_PART = 100
/** So is one in which a request found too little, for this long: runtimes return unused money. */
const SCARCE_MS = 3_000

/** How often a message of a runtime is stored, per its time to live: each report would be a row more to write. */
const HEARD_PARTS = 10

/** Begins an epoch. Throws CageError `runtime_revoked`, and `runtime_copied` while another copy of the journal spends. */
export function openRuntime(
  books: Books,
  runtimeId: string,
  { journalId, epoch, generation = books.generation, opening }: OpenMessage,
  ttlMs: number,
): Required<Opened> & { quarantined: LeaseRow[] } {
  const runtime = requireRuntime(books, runtimeId)
  const open = [...books.leases.values()].filter((lease) => lease.runtimeId === runtimeId && isSpendable(lease))
  const isSameJournal = runtime.journalId === null || runtime.journalId === journalId
  const isCopy = isSameJournal && opening !== undefined && !isNext(books, runtime, opening)
  if (isCopy && books.now < runtime.heardAt + ttlMs) {
    throw new CageError('runtime_copied', 'another copy of the database of this runtime spends the shared budget')
  }
  const isBelieved = isSameJournal && !isCopy
  const next = { journalId, generation, opening: opening?.id ?? null, heardAt: books.now }
  books.change(runtime, { epoch: Math.max(runtime.epoch, epoch) + 1, ...next })
  for (const lease of open)
    books.change(lease, isBelieved ? renewed(books, ttlMs) : { state: 'quarantined', held: ZERO_NANOS })
  return {
    epoch: runtime.epoch,
    leases: isBelieved ? open.map((lease) => ({ id: lease.id, granted: lease.granted, ...useOf(books, lease) })) : [],
    quarantined: isBelieved ? [] : open,
    ttlMs,
    coverS: factsOf(books, runtime).coverS,
    generation: books.generation,
  }
}

/** Whether an opening is the last one again, or the one after it. Books that may have lost the last one do not know. */
const isNext = (books: Books, { opening: last, generation }: RuntimeRow, { id, after }: Opening): boolean =>
  last === null || generation !== books.generation || id === last || after === last

/** Lends a slice, or gives the reason for refusing. Throws CageError `runtime_revoked` or `runtime_fenced`. */
export function grantLease(books: Books, runtimeId: string, request: LeaseRequest, ttlMs: number): LeaseAnswer {
  const runtime = requireEpoch(books, runtimeId, request.epoch)
  requirePositive(request.least)
  const budgets = payersOf(books, runtime, request)
  const id = leaseId(runtimeId, request)
  const known = books.leases.get(id)
  if (known) return grantedAnswer(books, known)
  const { spending } = factsOf(books, runtime)
  const granted = isScarce(books, budgets) ? exactly(budgets, request.least) : sliceOf(budgets, request, spending)
  const isSpent = request.least > min(...budgets.map(unspentOf))
  // What looks free may be lent: no money is returned for it.
  if (books.isReconciling && !isSpent) return { outcome: 'lent', balance: balanceOf(budgets), isScarce: false }
  if (granted < request.least) {
    for (const budget of budgets) {
      if (!isSpent && freeOf(budget) < request.least) books.change(budget, { scarceUntil: books.now + SCARCE_MS })
    }
    return { outcome: isSpent ? 'exhausted' : 'lent', balance: balanceOf(budgets), isScarce: true }
  }
  const { organizationId } = runtime
  const path = budgets.map((budget) => budget.id)
  const nothing = { used: ZERO_NANOS, returned: ZERO_NANOS, held: ZERO_NANOS }
  const lease: LeaseRow = { id, organizationId, runtimeId, path, granted, ...nothing, ...renewed(books, ttlMs) }
  enterLease(books, lease)
  return grantedAnswer(books, lease)
}

/** Takes it out of every budget of its path. */
export function enterLease(books: Books, lease: LeaseRow): void {
  for (const budget of budgetsOf(books, lease)) books.change(budget, { escrow: add(budget.escrow, lease.granted) })
  books.addLease(lease)
  books.move(lease, 'granted', lease.granted)
}

function grantedAnswer(books: Books, lease: LeaseRow): LeaseAnswer {
  const budgets = budgetsOf(books, lease)
  const { id, granted } = lease
  const use = { signed: books.signatures.sign(lease), ...useOf(books, lease) }
  return { outcome: 'granted', id, granted, ...use, balance: balanceOf(budgets), isScarce: isScarce(books, budgets) }
}

/** Applies a runtime's statements about its leases. Throws CageError `runtime_revoked` or `runtime_fenced`. */
export function recordStatements(
  books: Books,
  runtimeId: string,
  { epoch, statements }: { epoch: number; statements: readonly Statement[] },
  ttlMs: number,
): Omit<Reported, 'budgets'> {
  const runtime = requireEpoch(books, runtimeId, epoch)
  if (books.now - runtime.heardAt > ttlMs / HEARD_PARTS) books.change(runtime, { heardAt: books.now })
  const own = statements.filter(({ id }) => books.leases.get(id)?.runtimeId === runtimeId)
  requireCountable(
    books,
    own.map(({ id, used }) => ({ lease: books.leases.get(id)!, used })),
  )
  for (const statement of own) {
    const lease = books.leases.get(statement.id)!
    if (lease.state !== 'quarantined') recordStatement(books, lease, statement, ttlMs)
  }
  const { coverS, budgetsVersion } = factsOf(books, runtime)
  const pools = new Map<string, PoolBalance>()
  for (const names of [NOBODY, ...own.map(({ id }) => useOf(books, books.leases.get(id)!).names)]) {
    const budgets = payersOf(books, runtime, names)
    const { agent, token } = names
    pools.set(JSON.stringify([agent, token]), {
      agent,
      token,
      balance: balanceOf(budgets),
      isScarce: isScarce(books, budgets),
    })
  }
  const unknown = statements.map(({ id }) => id).filter((id) => !books.leases.has(id))
  return { ttlMs, coverS, budgetsVersion, pools: [...pools.values()], unknown, bookmark: books.bookmark }
}

export function recordStatement(books: Books, lease: LeaseRow, statement: Statement, ttlMs: number): void {
  charge(books, lease, max(lease.used, statement.used), 'charged')
  // A lease that a person closed gives nothing back, but its spending counts.
  if (lease.state === 'closed') return
  const returned = min(max(lease.returned, statement.returned), add(lease.returned, escrowOf(lease)))
  giveBack(books, lease, returned, 'returned')
  const isClosed = statement.isFinal && escrowOf(lease) === 0
  const next = isClosed ? { state: 'closed' as const, held: ZERO_NANOS } : { held: statement.held }
  books.change(lease, { ...renewed(books, ttlMs), ...next })
}

/**
 * Closes a lease whose runtime is gone: a person enters the amount spent; the rest is free again. The runtime must open
 * again before it spends. Throws CageError `conflict` for a lease whose runtime still reports, or that reported more,
 * and for more than was lent unless the person confirms it.
 */
export function resolveLease(books: Books, id: string, spent: Nanodollars, decision: Resolution): void {
  const lease = books.leases.get(id)!
  if (lease.state !== 'expired' && lease.state !== 'quarantined') {
    throw new CageError('conflict', `lease ${id} is ${lease.state}: only expired and quarantined leases are resolved`, {
      facts: { lease_id: id, state: lease.state },
      hint:
        lease.state === 'closed'
          ? 'nothing of it is left to resolve'
          : `its machine returns it when it stops or leaves; without a report of the machine it expires at ${isoTime(lease.expiresAt)}, and can be resolved then`,
    })
  }
  if (spent < lease.used) {
    const reported = showExactUsd(toUsd(lease.used))
    throw new CageError('conflict', `the machine of lease ${id} has reported ${reported} spent, which is more`, {
      facts: { lease_id: id, used_usd: toUsd(lease.used) },
      hint: `give the total that was spent of the lease, at least ${reported}`,
    })
  }
  const lent = add(lease.used, escrowOf(lease))
  if (spent > lent && !decision.isAboveLent) throw new AboveLentError({ leaseId: id, lent, spent })
  const runtime = books.runtimes.get(lease.runtimeId)!
  books.change(runtime, { epoch: runtime.epoch + 1 })
  charge(books, lease, spent, 'presumed', decision)
  giveBack(books, lease, add(lease.returned, escrowOf(lease)), 'released', decision)
  books.change(lease, { state: 'closed', held: ZERO_NANOS })
}

/** Ends a runtime's right to spend. Its leases stay in escrow until a person resolves them. */
export function revokeRuntime(books: Books, runtimeId: string): void {
  const runtime = books.runtimes.get(runtimeId)!
  books.change(runtime, { isRevoked: true, epoch: runtime.epoch + 1 })
}

/** What of it is still in escrow. */
export const escrowOf = ({
  state,
  granted,
  used,
  returned,
}: Pick<LeaseRow, 'state' | 'granted' | 'used' | 'returned'>) =>
  state === 'closed' ? ZERO_NANOS : max(ZERO_NANOS, subtract(granted, add(used, returned)))

/** Posts spending up to this total; beyond the lease it is an overrun, which is charged like anything spent. */
function charge(books: Books, lease: LeaseRow, used: Nanodollars, kind: 'charged' | 'presumed', by?: Decision): void {
  const spent = subtract(used, lease.used)
  if (spent === 0) return
  const fromEscrow = min(spent, escrowOf(lease))
  for (const budget of budgetsOf(books, lease)) {
    books.change(budget, { settled: add(budget.settled, spent), escrow: subtract(budget.escrow, fromEscrow) })
  }
  books.move(lease, kind, fromEscrow, by)
  books.move(lease, 'overrun', subtract(spent, fromEscrow), by)
  books.change(lease, { used })
}

function giveBack(books: Books, lease: LeaseRow, returned: Nanodollars, kind: 'returned' | 'released', by?: Decision) {
  const amount = subtract(returned, lease.returned)
  if (amount === 0) return
  for (const budget of budgetsOf(books, lease)) books.change(budget, { escrow: subtract(budget.escrow, amount) })
  books.move(lease, kind, amount, by)
  books.change(lease, { returned })
}

/** The accounts that pay for a call now. Throws CageError `not_found` for a name without a budget. */
function payersOf(books: Books, { organizationId, path }: RuntimeRow, { agent, token }: CallerNames): BudgetRow[] {
  const named = [
    ...(agent === null ? [] : [requireNamed(books, organizationId, 'agent', agent)]),
    ...(token === null ? [] : [requireNamed(books, organizationId, 'token', token)]),
  ]
  return [...new Set([...path, ...named])].map((id) => books.budgets.get(books.current.get(id) ?? id)!)
}

function requireNamed(books: Books, organizationId: string, scope: 'agent' | 'token', name: string): string {
  const id = books.named.get(nameOf(organizationId, scope, name))
  if (id !== undefined) return id
  throw new CageError('not_found', `the ${scope} "${name}" has no budget on the Control Panel`)
}

/**
 * Whose calls a lease pays for, and for how long; the panel keeps neither, for both follow from its accounts. Those of the
 * runtime's own path pay for all its calls.
 */
function useOf(books: Books, lease: LeaseRow): { names: CallerNames; endsInMs: number | null } {
  const budgets = budgetsOf(books, lease)
  const own = new Set(books.runtimes.get(lease.runtimeId)!.path)
  const named = budgets.filter(({ id }) => !own.has(budgetIdOf(id)))
  const nameIn = (wanted: SharedScope) => named.find(({ scope }) => scope === wanted)?.name ?? null
  const ends = budgets.flatMap(({ endsAt }) => endsAt ?? [])
  return {
    names: { agent: nameIn('agent'), token: nameIn('token') },
    endsInMs: ends.length === 0 ? null : Math.max(0, Math.min(...ends) - books.now),
  }
}

const NOBODY: CallerNames = { agent: null, token: null }
const factsOf = (books: Books, { organizationId }: RuntimeRow): OrganizationFacts =>
  books.organizations.get(organizationId) ?? { spending: 1, coverS: DEFAULT_COVER_S, budgetsVersion: 0 }

const budgetsOf = (books: Books, { path }: LeaseRow): BudgetRow[] => path.map((id) => books.budgets.get(id)!)

/**
 * The size of a slice: the wanted amount, at first a hundredth of the limit; at most half of its fair share of the free
 * amount, so that slices shrink by themselves.
 */
export function sliceOf(
  budgets: readonly BudgetRow[],
  { least, want }: Pick<LeaseRequest, 'least' | 'want'>,
  spending: number,
): Nanodollars {
  const free = min(...budgets.map(freeOf))
  if (free < least) return ZERO_NANOS
  const wanted = max(want, divide(min(...budgets.map(({ limit }) => limit)), SCARCE_PART))
  return min(free, max(least, min(wanted, divide(free, 2 * Math.max(1, spending)))))
}

/** Of scarce money a call gets its hold and no more. */
const exactly = (budgets: readonly BudgetRow[], least: Nanodollars): Nanodollars =>
  min(...budgets.map(freeOf)) < least ? ZERO_NANOS : least

const freeOf = ({ limit, settled, escrow }: BudgetRow): Nanodollars => subtract(limit, add(settled, escrow))
const unspentOf = ({ limit, settled }: BudgetRow): Nanodollars => subtract(limit, settled)
const isScarce = ({ now }: Books, budgets: readonly BudgetRow[]): boolean =>
  budgets.some((budget) => now < budget.scarceUntil || freeOf(budget) < budget.limit / SCARCE_PART)

function balanceOf(budgets: readonly BudgetRow[]): SharedBalance {
  const tightest = budgets.reduce((one, other) => (freeOf(other) < freeOf(one) ? other : one))
  const { scope, name, limit, settled, endsAt } = tightest
  return { budget: `${scope} ${name}`, limit, settled, free: max(ZERO_NANOS, freeOf(tightest)), endsAt }
}

const isSpendable = ({ state }: LeaseRow): boolean => state === 'active' || state === 'expired'

export const renewed = ({ now }: Books, ttlMs: number): { state: 'active'; expiresAt: number } => ({
  state: 'active',
  expiresAt: now + ttlMs + EXPIRY_SLACK_MS,
})

export function requireRuntime(books: Books, runtimeId: string): RuntimeRow {
  const runtime = books.runtimes.get(runtimeId)
  if (runtime && !runtime.isRevoked) return runtime
  throw revokedRuntime()
}

export const revokedRuntime = (): CageError =>
  new CageError('runtime_revoked', 'this runtime was removed from its Control Panel')

function requireEpoch(books: Books, runtimeId: string, epoch: number): RuntimeRow {
  const runtime = requireRuntime(books, runtimeId)
  if (runtime.epoch === epoch && runtime.generation === books.generation) return runtime
  throw new CageError('runtime_fenced', 'a later start of this runtime has opened its leases', {
    facts: { epoch, current: runtime.epoch },
  })
}

/** Throws CageError `invalid_amount`. */
function requirePositive(least: Nanodollars): void {
  if (least <= 0) throw new CageError('invalid_amount', 'a lease of nothing cannot be requested')
}

/** A runtime that claims millions must not make the sums of its organization uncountable. Throws CageError `invalid_amount`. */
export function requireCountable(books: Books, said: readonly { lease: LeaseRow; used: Nanodollars }[]): void {
  const claimed = add(...said.map(({ lease, used }) => max(ZERO_NANOS, subtract(used, lease.used))))
  for (const { settled } of said.flatMap(({ lease }) => budgetsOf(books, lease))) {
    if (add(settled, claimed) > MAX_NANOS) throw new CageError('invalid_amount', 'more was claimed than can be counted')
  }
}

/** Throws RangeError for an amount that cannot be counted exactly. */
export function exactNanos(amount: string | number | bigint): Nanodollars {
  const value = Number(amount)
  if (!Number.isSafeInteger(value)) throw new RangeError(`${amount} nanodollars cannot be counted exactly`)
  return nanodollars(value)
}
