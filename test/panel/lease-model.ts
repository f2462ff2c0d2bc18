/**
 * Leases as a model: two runtimes, a bank, a provider, and a network that loses, delays, and repeats messages. Runtimes
 * crash, lose their disks, or lose power before the disk has the last commits; the bank's database fails over to one
 * that is behind; leases expire at any moment, for no clock is trusted; a person resolves those of a silent runtime.
 * The product's own functions make the decisions; when a rule is removed, the model must find a violation.
 */

import { CageError } from '../../src/core/errors.ts'
import { nanodollars, ZERO_NANOS } from '../../src/core/money.ts'
import {
  Books,
  type BudgetRow,
  escrowOf,
  grantLease,
  type LeaseRow,
  openRuntime,
  type RuntimeRow,
  recordStatements,
  resolveLease,
} from '../../src/panel/bank/bank.ts'
import { presentLeases } from '../../src/panel/bank/generations.ts'
import { leaseId, type RequestNumber, requestOf, type Statement } from '../../src/protocol/lease-messages.ts'
import { givenBack, type JournalEntry, reconcile, roomOf, statementOf } from '../../src/uplink/lease-journal.ts'
import type { Exploring } from './explore.ts'

export interface Bounds {
  limit: number
  runtimes: number
  messages: number
  leases: number
  crashes: number
  losses: number
  /** How often a runtime's system ends before it has written the last commits to the disk. */
  powerFailures: number
  /** How often the bank's database is replaced by a copy that is behind. */
  failovers: number
  /** Leases may expire. */
  expiry: boolean
  /** The amount of a request. */
  slice: number
}

export const A_LOST_DISK: Bounds = {
  limit: 2,
  runtimes: 2,
  messages: 1,
  leases: 2,
  crashes: 1,
  losses: 1,
  powerFailures: 0,
  failovers: 0,
  expiry: false,
  slice: 1,
}
export const A_FAILOVER: Bounds = { ...A_LOST_DISK, limit: 1, crashes: 0, losses: 0, failovers: 1 }
export const A_POWER_FAILURE: Bounds = { ...A_LOST_DISK, limit: 1, losses: 0, powerFailures: 1 }
export const LATE_MESSAGES: Bounds = { ...A_LOST_DISK, limit: 1, messages: 2, losses: 0, expiry: true }
/** Large enough for slices of two units. */
const LARGE_SLICES: Bounds = { ...A_LOST_DISK, limit: 4, runtimes: 1, crashes: 0, losses: 0, slice: 2 }
export const ONE_RUNTIME: Bounds = { ...LARGE_SLICES, limit: 1, slice: 1 }

/** Rules that keep the limit, and the bounds in which a counterexample is found without each. */
export const RULES = {
  'a grant is committed before it is answered': LATE_MESSAGES,
  'a lease is stored before it is spent': LATE_MESSAGES,
  'a hold is stored before its call is sent': LATE_MESSAGES,
  'a return is stored before it is reported': LATE_MESSAGES,
  'statements are totals, not differences': LARGE_SLICES,
  'messages of an earlier epoch are refused': LATE_MESSAGES,
  'the statements of a runtime with another ledger are not believed': A_LOST_DISK,
  'the statements of a runtime after a power failure are not believed': A_POWER_FAILURE,
  'a lease that the bank does not list pays for nothing': LATE_MESSAGES,
  'time frees nothing': LATE_MESSAGES,
  'the holds of a killed runtime count': LATE_MESSAGES,
  'after a failover nothing is lent until every runtime has presented its leases': A_FAILOVER,
  'reports of a runtime count after it has presented its leases': A_FAILOVER,
  'settled leases are remembered, and presented too': A_FAILOVER,
  'a lease that was removed from the journal is not untouched': A_FAILOVER,
} as const satisfies Record<string, Bounds>
/** The rule that keeps money from being stranded. */
export const LIVENESS_RULE = 'a repeated request gets the same lease'
export type Rule = keyof typeof RULES | typeof LIVENESS_RULE

interface Entry extends JournalEntry {
  held: number
  /** Of `held`: by calls that a crash ended before they were sent, which is not recorded. */
  unsent: number
  /** Calls may hold of it: the bank listed it when this epoch began, or granted it since. */
  pays: boolean
}

interface Holder {
  isUp: boolean
  /** The epoch it believes to be in. */
  epoch: number
  /** Of the books that it has presented its leases to. */
  generation: number
  journal: string
  request: number
  /** In its journal: the request after the last one whose lease was stored. */
  next: RequestNumber
  entries: Entry[]
  /** Of leases that were received but not stored. */
  unstored: Entry[]
  /** The state after a power failure. Only while there may be one. */
  onDisk?: Pick<Holder, 'entries' | 'next' | 'generation'>
}

type Message =
  | { kind: 'request'; runtime: number; epoch: number; request: number }
  | { kind: 'grant'; runtime: number; epoch: number; request: number; id: string; granted: number }
  | { kind: 'report'; runtime: number; epoch: number; statement: Statement }

/** The differing parts of the bank's rows. */
type Lease = Pick<LeaseRow, 'id' | 'granted' | 'used' | 'returned' | 'state'> & { runtime: number }

interface Bank {
  budget: Pick<BudgetRow, 'settled' | 'escrow'>
  /** The bank's. */
  runtimes: Pick<RuntimeRow, 'journalId' | 'epoch' | 'generation'>[]
  leases: Lease[]
}

interface World extends Bank {
  generation: number
  /** A copy of the bank's rows that is behind. */
  follower?: Bank
  holders: Holder[]
  network: Message[]
  /** The amount sent to the provider, by lease. */
  sent: Record<string, number>
  crashes: number
  losses: number
  powerFailures: number
}

const TTL_MS = 1
const ONE = nanodollars(1)

export function leaseModel(bounds: Bounds, removed?: Rule): Exploring<World> & { isGood(world: World): boolean } {
  const has = (rule: Rule) => rule !== removed
  return {
    start: startOf(bounds),
    next(read, emit) {
      const world = read()
      const { holders, network, leases } = world
      for (const [index, holder] of holders.entries()) {
        if (holder.isUp) holderSteps(read, emit, index, world, bounds, has)
        else restart(read, emit, index, world, bounds, has)
      }
      if (world.follower) failOver(read, emit, world, bounds)
      for (const [index, message] of network.entries()) deliver(read, emit, index, message, bounds, has)
      for (const [index, lease] of leases.entries()) bankSteps(read, emit, index, lease, world, bounds, has)
    },
    problem: (world) => problemIn(world, bounds),
    isGood: (world) => isClosed(world, bounds),
  }
}

type Read = () => World
type Emit = (step: string, world: World) => void
type Has = (rule: Rule) => boolean

function startOf({ runtimes, failovers, powerFailures }: Bounds): World {
  const each = <T>(make: (index: number) => T) => Array.from({ length: runtimes }, (_, index) => make(index))
  const bank: Bank = {
    budget: { settled: ZERO_NANOS, escrow: ZERO_NANOS },
    runtimes: each((index) => ({ journalId: `j${index}`, epoch: 1, generation: 1 })),
    leases: [],
  }
  return {
    ...bank,
    generation: 1,
    ...(failovers > 0 && { follower: bank }),
    holders: each((index) => {
      const isNew = { isUp: true, epoch: 1, generation: 1, request: 0, next: { epoch: 1, request: 0 } }
      const holder: Holder = { ...isNew, journal: `j${index}`, entries: [], unstored: [] }
      if (powerFailures > 0 && index === 0) sync(holder)
      return holder
    }),
    network: [],
    sent: {},
    crashes: 0,
    losses: 0,
    powerFailures: 0,
  }
}

/** The possible steps of a running runtime. */
function holderSteps(read: Read, emit: Emit, index: number, world: World, bounds: Bounds, has: Has): void {
  const { entries, unstored, epoch, request } = world.holders[index]!
  if (![...entries, ...unstored].some((entry) => roomFor(entry) > 0)) {
    sending(read, emit, `request ${index}`, { kind: 'request', runtime: index, epoch, request }, world, bounds)
  }
  for (const list of ['entries', 'unstored'] as const) {
    for (const [at, entry] of (list === 'entries' ? entries : unstored).entries()) {
      const change = (step: string, act: (entry: Entry, world: World) => void) => {
        const next = read()
        act(next.holders[index]![list][at]!, next)
        emit(`${step} ${index}`, next)
      }
      callSteps(change, entry, world.sent[entry.id] ?? 0, has)
      reportSteps(read, emit, change, { entry, index, epoch, world, bounds, has })
    }
  }
  if (world.holders[index]!.generation !== world.generation) {
    const next = read()
    open(next, index, bounds, has)
    emit(`open again ${index}`, next)
  }
  forget(read, emit, index, world, bounds, has)
  // Which of them crashes makes no difference: they are alike.
  if (index === 0 && world.crashes < bounds.crashes) {
    const next = read()
    next.crashes += 1
    crash(next, 0, has)
    emit('crash 0', next)
  }
  if (index === 0 && world.powerFailures < bounds.powerFailures) {
    const synced = read()
    sync(synced.holders[0]!)
    emit('the disk of 0 has everything', synced)
    const next = read()
    next.powerFailures += 1
    loseUnwritten(next, 0, has)
    emit('power failure 0', next)
  }
}

/** The follower receives everything so far, or takes the bank's place. */
function failOver(read: Read, emit: Emit, { generation }: World, { failovers }: Bounds): void {
  const followed = read()
  const { budget, runtimes, leases } = followed
  followed.follower = { budget, runtimes, leases }
  emit('the follower catches up', followed)
  const promoted = read()
  Object.assign(promoted, promoted.follower, { generation: generation + 1 })
  if (promoted.generation > failovers) delete promoted.follower
  emit('the follower is promoted', promoted)
}

/** Of the product's `Leases.#open`: everything that is known here is shown to a bank of another generation. */
function present(world: World, index: number, bounds: Bounds): void {
  const holder = world.holders[index]!
  const books = booksOf(world, bounds)
  const presented = holder.entries.map((entry) => {
    const { id, granted } = entry
    const lease = { id, granted, runtimeId: runtimeId(index), path: ['b'] }
    return { lease, signed: books.signatures.sign(lease), statement: statementOf(entry, nanodollars(entry.held)) }
  })
  presentLeases(books, runtimeId(index), presented, TTL_MS)
  close(world, books)
  holder.generation = world.generation
}

function crash({ holders, sent }: World, index: number, has: Has): void {
  const holder = holders[index]!
  holder.isUp = false
  holder.unstored = []
  for (const entry of holder.entries) {
    if (!has('the holds of a killed runtime count')) entry.held = 0
    entry.unsent = Math.max(0, entry.used + entry.held - (sent[entry.id] ?? 0))
  }
}

function sync(holder: Holder): void {
  const { entries, next, generation } = holder
  holder.onDisk = { entries, next, generation }
}

/** As `openJournal`: a disk that may lack something is another journal. */
function loseUnwritten(world: World, index: number, has: Has): void {
  const holder = world.holders[index]!
  Object.assign(holder, holder.onDisk)
  delete holder.onDisk
  crash(world, index, has)
  if (has('the statements of a runtime after a power failure are not believed')) holder.journal += "'"
}

type Change = (step: string, act: (entry: Entry, world: World) => void) => void

/** One unit is a call: held, sent, and charged, or released if it was not sent. */
function callSteps(change: Change, entry: Entry, sent: number, has: Has): void {
  const send = ({ id }: Entry, world: World) => {
    world.sent[id] = sent + 1
  }
  const hasRoom = roomFor(entry) > 0 && (entry.pays || !has('a lease that the bank does not list pays for nothing'))
  if (hasRoom)
    change('hold', (own) => {
      own.held += 1
    })
  if (hasRoom && sent < entry.granted && !has('a hold is stored before its call is sent'))
    change('send without a row', send)
  if (sent < entry.used + entry.held - entry.unsent) change('send', send)
  if (entry.held > 0 && sent > entry.used) {
    change('charge', (own) => {
      own.held -= 1
      own.used = nanodollars(own.used + 1)
    })
  }
  if (entry.held > 0 && sent < entry.used + entry.held)
    change('release', (own) => {
      own.held -= 1
      own.unsent = Math.max(0, own.unsent - 1)
    })
}

interface Reporting {
  entry: Entry
  index: number
  epoch: number
  world: World
  bounds: Bounds
  has: Has
}

function reportSteps(
  read: Read,
  emit: Emit,
  change: Change,
  { entry, index, epoch, world, bounds, has }: Reporting,
): void {
  const held = nanodollars(entry.held)
  const report = (step: string, of: JournalEntry) =>
    sending(
      read,
      emit,
      `${step} ${index}`,
      { kind: 'report', runtime: index, epoch, statement: statementOf(of, held) },
      world,
      bounds,
    )
  report('report', entry)
  if (roomFor(entry) <= 0) return
  if (!has('a return is stored before it is reported')) return report('report a return', givenBack(entry, held))
  change('return', (own) => void Object.assign(own, givenBack(own, held)))
}

/** A new start, perhaps on a new disk. The bank answers at once: messages of the earlier epoch are still under way. */
function restart(read: Read, emit: Emit, index: number, { losses }: World, bounds: Bounds, has: Has): void {
  if (losses < bounds.losses) {
    const world = read()
    world.losses += 1
    const holder = world.holders[index]!
    Object.assign(holder, { entries: [], journal: `${holder.journal}'`, next: { epoch: 0, request: 0 } })
    emit(`lose the disk ${index}`, world)
  }
  const world = read()
  open(world, index, bounds, has)
  emit(`restart ${index}`, world)
}

function open(world: World, index: number, bounds: Bounds, has: Has): void {
  const holder = world.holders[index]!
  if (holder.generation !== world.generation) present(world, index, bounds)
  const books = booksOf(world, bounds)
  const isBelieved = !has('the statements of a runtime with another ledger are not believed')
  const journalId = isBelieved ? world.runtimes[index]!.journalId! : holder.journal
  const { epoch, generation } = holder
  const opened = openRuntime(books, runtimeId(index), { journalId, epoch, generation }, TTL_MS)
  const next = has('a lease that was removed from the journal is not untouched')
    ? holder.next
    : { epoch: 0, request: 0 }
  const { returned, ended } = reconcile(holder.entries, opened, next)
  holder.entries = [
    ...holder.entries.map((entry) => {
      const pays = !ended.includes(entry.id)
      return { ...entry, ...(pays ? {} : givenBack(entry, nanodollars(entry.held))), pays }
    }),
    ...returned.map((entry) => ({ ...entry, held: 0, unsent: 0, pays: true })),
  ]
  Object.assign(holder, { isUp: true, epoch: opened.epoch, request: 0, next: { epoch: opened.epoch, request: 0 } })
  close(world, books)
}

/** A message is lost, arrives, or arrives and will arrive again. */
function deliver(read: Read, emit: Emit, at: number, message: Message, bounds: Bounds, has: Has): void {
  const lost = read()
  lost.network.splice(at, 1)
  emit(`lose the ${message.kind} of ${message.runtime}`, lost)
  for (const again of [false, true]) {
    const world = read()
    if (!again) world.network.splice(at, 1)
    if (receive(world, message, bounds, has))
      emit(`deliver the ${message.kind} of ${message.runtime}${again ? ' once more' : ''}`, world)
    if (message.kind !== 'request' || has('a grant is committed before it is answered')) continue
    const uncommitted = read()
    uncommitted.network.splice(at, 1)
    const answered = read()
    answered.network.splice(at, 1)
    if (!receive(answered, message, bounds, has)) continue
    uncommitted.network = answered.network
    emit(`the bank crashes after answering ${message.runtime}`, uncommitted)
  }
}

function receive(world: World, message: Message, bounds: Bounds, has: Has): boolean {
  const holder = world.holders[message.runtime]!
  // Without the rule every message counts as one of this epoch.
  const epoch = has('messages of an earlier epoch are refused') ? message.epoch : world.runtimes[message.runtime]!.epoch
  if (message.kind === 'grant') return receiveGrant(holder, message, has)
  const books = booksOf(world, bounds)
  if (!has('after a failover nothing is lent until every runtime has presented its leases')) books.isReconciling = false
  if (!has('reports of a runtime count after it has presented its leases'))
    for (const runtime of books.runtimes.values()) runtime.generation = books.generation
  try {
    if (message.kind === 'report') {
      const statement = has('statements are totals, not differences')
        ? message.statement
        : asDifference(books, message.statement)
      recordStatements(books, runtimeId(message.runtime), { epoch, statements: [statement] }, TTL_MS)
      close(world, books)
      return true
    }
    let { request } = message
    const knows = () => books.leases.has(leaseId(runtimeId(message.runtime), { epoch, request }))
    if (!has(LIVENESS_RULE)) while (knows()) request += 10
    if (books.leases.size >= bounds.leases && !knows()) return false
    const answer = grantLease(
      books,
      runtimeId(message.runtime),
      { epoch, request, least: ONE, want: nanodollars(bounds.slice), agent: null, token: null },
      TTL_MS,
    )
    if (answer.outcome !== 'granted') return false
    close(world, books)
    const { id, granted } = answer
    return send(
      world,
      { kind: 'grant', runtime: message.runtime, epoch: message.epoch, request: message.request, id, granted },
      bounds,
    )
  } catch (error) {
    if (error instanceof CageError && error.code === 'runtime_fenced') return false
    throw error
  }
}

function receiveGrant(holder: Holder, message: Message & { kind: 'grant' }, has: Has): boolean {
  if (!holder.isUp) return false
  if (has('messages of an earlier epoch are refused') && holder.epoch !== message.epoch) return false
  const { id } = message
  const known = [...holder.entries, ...holder.unstored].find((entry) => entry.id === id)
  if (known) {
    // A runtime that accepts any epoch takes an old grant for a new one.
    if (has('messages of an earlier epoch are refused') || known.used > 0) return false
    known.returned = ZERO_NANOS
    return true
  }
  const entry = {
    id,
    granted: nanodollars(message.granted),
    used: ZERO_NANOS,
    returned: ZERO_NANOS,
    held: 0,
    unsent: 0,
    pays: true,
  }
  const list = has('a lease is stored before it is spent') ? holder.entries : holder.unstored
  list.push(entry)
  holder.request += 1
  if (list === holder.entries) holder.next = { epoch: holder.epoch, request: holder.request }
  return true
}

/** The steps of the bank itself, or of a person at it. */
function bankSteps(read: Read, emit: Emit, at: number, lease: Lease, before: World, bounds: Bounds, has: Has): void {
  if (bounds.expiry && lease.state === 'active') {
    const world = read()
    const expired = world.leases[at]!
    if (has('time frees nothing')) expired.state = 'expired'
    else {
      world.budget.escrow = nanodollars(world.budget.escrow - escrowOf(expired))
      expired.returned = nanodollars(expired.granted - expired.used)
      expired.state = 'closed'
    }
    emit(`expire ${lease.id}`, world)
  }
  const isSilent = lease.state === 'expired' && !before.holders[lease.runtime]!.isUp
  if (lease.state === 'quarantined' || isSilent || isLeftToPerson(before, lease)) {
    const world = read()
    if (!isSilent) world.leases[at]!.state = 'quarantined'
    const books = booksOf(world, bounds)
    const spent = nanodollars(Math.max(lease.used, world.sent[lease.id] ?? 0))
    resolveLease(books, lease.id, spent, { by: 'ada', reason: "the provider's bill", isAboveLent: true })
    close(world, books)
    // One that has opened already need not do so again here.
    if (!isSilent) world.runtimes[lease.runtime]!.epoch -= 1
    emit(`resolve ${lease.id}`, world)
  }
}

/** It is not reported any more, so it expires: its runtime has opened in this generation, and removed it before. */
function isLeftToPerson({ generation, runtimes, holders }: World, { id, runtime, state }: Lease): boolean {
  const isOpen = generation > 1 && runtimes[runtime]!.generation === generation && holders[runtime]!.isUp
  return isOpen && state === 'active' && isRemoved(holders[runtime]!, id)
}

const isRemoved = ({ entries, unstored, epoch }: Holder, id: string): boolean =>
  requestOf(id)!.epoch < epoch && ![...entries, ...unstored].some((entry) => entry.id === id)

const runtimeId = (index: number): string => `runtime-${index}`

/**
 * A journal removes a settled lease once every copy of the bank's database knows the grant; without the rule, as soon
 * as the bank has its last statement.
 */
function forget(read: Read, emit: Emit, index: number, before: World, { failovers }: Bounds, has: Has): void {
  if (failovers === 0) return
  const { leases, follower } = before
  const isTooSoon = has('settled leases are remembered, and presented too')
  for (const { id } of leases.filter(({ runtime, state }) => runtime === index && state === 'closed')) {
    if (isTooSoon && follower && !follower.leases.some((lease) => lease.id === id)) continue
    if (!before.holders[index]!.entries.some((entry) => entry.id === id)) continue
    const world = read()
    const holder = world.holders[index]!
    holder.entries = holder.entries.filter((entry) => entry.id !== id)
    emit(`forget ${id}`, world)
  }
}

/** The rows as the bank has them. */
function booksOf({ budget, runtimes, leases, generation }: World, { limit }: Bounds): Books {
  const books = new Books()
  books.generation = generation
  books.isReconciling = runtimes.some((runtime) => runtime.generation !== generation)
  const organizationId = 'o'
  const path = ['b']
  books.budgets.set('b', {
    id: 'b',
    organizationId,
    scope: 'organization',
    name: 'o',
    limit: nanodollars(limit),
    scarceUntil: 0,
    endsAt: null,
    ...budget,
  })
  for (const [index, runtime] of runtimes.entries()) {
    const id = runtimeId(index)
    books.runtimes.set(id, { id, organizationId, path, opening: null, heardAt: 0, isRevoked: false, ...runtime })
  }
  for (const { runtime, ...lease } of leases) {
    const rest = { organizationId, path, held: ZERO_NANOS, expiresAt: 0 }
    books.leases.set(lease.id, { ...lease, runtimeId: runtimeId(runtime), ...rest })
  }
  return books
}

function close(world: World, books: Books): void {
  const { settled, escrow } = books.budgets.get('b')!
  world.budget = { settled, escrow }
  world.runtimes = [...books.runtimes.values()].map(({ journalId, epoch, generation }) => {
    return { journalId, epoch, generation }
  })
  world.leases = [...books.leases.values()]
    .map(({ id, granted, used, returned, state, runtimeId: owner }) => {
      return { id, granted, used, returned, state, runtime: Number(owner.slice('runtime-'.length)) }
    })
    .sort((one, other) => (one.id < other.id ? -1 : 1))
}

function sending(read: Read, emit: Emit, step: string, message: Message, before: World, bounds: Bounds): void {
  if (!canSend(before, message, bounds)) return
  const world = read()
  send(world, message, bounds)
  emit(step, world)
}

function canSend({ network }: World, message: Message, { messages }: Bounds): boolean {
  if (network.length >= messages) return false
  const text = JSON.stringify(message)
  return !network.some((other) => JSON.stringify(other) === text)
}

/** False when nothing changes, or the network is full. */
function send(world: World, message: Message, bounds: Bounds): boolean {
  if (!canSend(world, message, bounds)) return false
  world.network.push(message)
  world.network.sort((one, other) => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1))
  return true
}

const roomFor = (entry: Entry): number => roomOf(entry, nanodollars(entry.held))

/** As if the runtime reported only the amount returned since its last report. */
function asDifference(books: Books, statement: Statement): Statement {
  const lease = books.leases.get(statement.id)
  return lease ? { ...statement, returned: nanodollars(statement.returned + lease.returned) } : statement
}

function problemIn({ budget, leases, holders, sent, generation }: World, { limit }: Bounds): string | undefined {
  const truth = Object.values(sent).reduce((sum, amount) => sum + amount, 0)
  if (truth > limit) return `the provider was sent ${truth} of ${limit}`
  const lent = leases.reduce((sum, lease) => sum + escrowOf(lease), 0)
  const used = leases.reduce((sum, lease) => sum + lease.used, 0)
  if (budget.escrow !== lent) return `escrow ${budget.escrow}, leases ${lent}`
  if (budget.settled !== used) return `settled ${budget.settled}, leases ${used}`
  // A forgotten amount is entered beside the one lent again; the provider decides whether it was spent.
  if (budget.settled + budget.escrow > limit && generation === 1)
    return `settled and escrow are ${budget.settled + budget.escrow} of ${limit}`
  // One that is down opens before it spends.
  for (const { id, returned, pays } of holders.filter(({ isUp }) => isUp).flatMap(({ entries }) => entries)) {
    if (!pays) continue
    const lease = leases.find((other) => other.id === id)
    if (lease && lease.returned > returned)
      return `the bank has ${lease.returned} returned of ${id}, its runtime ${returned}`
  }
  const wrong = leases.find((lease) => lease.state === 'closed' && lease.used < (sent[lease.id] ?? 0))
  return wrong && `closed lease ${wrong.id} says ${wrong.used}, the provider ${sent[wrong.id]}`
}

/** All money is either free or settled, and the settled amount is the provider's. */
const isClosed = ({ budget, leases, sent }: World, { limit }: Bounds): boolean =>
  leases.every(({ state }) => state === 'closed') &&
  budget.escrow === 0 &&
  budget.settled <= limit &&
  budget.settled === Object.values(sent).reduce((sum, amount) => sum + amount, 0)
