/**
 * The leases of this runtime: slices of a budget that it shares with others through a Control Panel. Each lease is an
 * account beside the agent's own, and a call must fit into one of them as well. Nothing of this exists without a panel.
 *
 * The rules are:
 * - A lease is stored before it is spent, and a return before it is reported. What is reported is read from the ledger,
 *   so that a killed runtime never said more than it finds after its start.
 * - Each start begins an epoch; until the panel has answered, nothing is spent.
 * - Without an answer to a report for longer than the panel allows, nothing new is held: only a report of every lease
 *   extends the right to spend, so that none counts as expired on the panel while it is spent here. Running calls end and
 *   are charged.
 * - When money is scarce, everything that no call holds is returned at once.
 */
import { uptime } from 'node:os'
import { type Clock, every } from '../clock.ts'
import type { LeaseRow } from '../db/leases.ts'
import type { Store } from '../db/store.ts'
import { asCageError, BudgetExceededError, BudgetHeldError, CageError } from '../errors.ts'
import type { NewEvent } from '../events.ts'
import type { AgentId } from '../ids.ts'
import type { LeaseBank, SharedBalance } from '../lease-messages.ts'
import { add, max, type Nanodollars, nanodollars, subtract, UNLIMITED, ZERO_NANOS } from '../money.ts'
import { Account } from './account.ts'
import { exhaustedEvent } from './budget-events.ts'
import { givenBack, type JournalEntry, reconcile, statementOf } from './lease-journal.ts'

/** How often the runtime reports. A revocation or a recall takes no longer to arrive. */
const REPORT_INTERVAL_MS = 1_000
/** Charges of ended calls are committed within this time, and reported together, in ms. */
const SOON_MS = 10
/** Before a request that found no money is repeated, in ms. */
const RETRY_MS = 50
/** A slice is meant to last this long, in s. */
const SLICE_S = 10
/** Weight of the last second in the rate of spending. */
const RATE_WEIGHT = 0.3
/** How long the last reports may take when the runtime stops, in ms. */
const CLOSE_MS = 2_000

const ONE_NANO = nanodollars(1)

export interface Lease {
  readonly id: string
  readonly account: Account<'shared'>
}

export interface LeasesOptions {
  store: Store
  clock: Clock
  bank: LeaseBank
  /** The identity of this ledger, made with its file. */
  journalId: string
  /** The panel's address, for messages. */
  url: string
  record: (event: NewEvent) => void
}

export class Leases {
  readonly #options: LeasesOptions
  readonly #clock: Clock
  readonly #bank: LeaseBank
  readonly #leases = new Map<string, Lease>()
  readonly #waiting = new Set<() => void>()
  readonly #stop: () => void
  /** Undefined until the panel has answered. */
  #epoch: number | undefined
  #request = 0
  #deadline: Deadline | undefined
  #balance: SharedBalance | undefined
  #isScarce = false
  /** The last answer said that the money is spent; true until the next one. */
  #exhausted: { least: Nanodollars; balance: SharedBalance } | undefined
  /** The limit that each agent was last told is spent. */
  readonly #notified = new Map<AgentId, Nanodollars>()
  /** Why the last message failed; undefined if it did not. */
  #fault: CageError | undefined
  #isConnected: boolean | undefined
  #asking: Promise<void> | undefined
  #reporting: Promise<void> | undefined
  #isReportDue = false
  /** Nanodollars per second. */
  #rate = 0
  #spentSinceTick = ZERO_NANOS
  /** The maximum cost of the last call. */
  #lastMax = ONE_NANO
  #isClosing = false

  constructor(options: LeasesOptions) {
    this.#options = options
    this.#clock = options.clock
    this.#bank = options.bank
    // A power failure must not forget what was spent.
    options.store.orm.$client.pragma('synchronous = FULL')
    for (const row of this.#rows()) this.#add(row)
    this.#stop = every(this.#clock, REPORT_INTERVAL_MS, () => this.#tick())
    void this.#report()
  }

  /** Returns a lease that can pay; undefined if none can now. Must not be awaited before its money is held. */
  leaseFor(maxCost: Nanodollars): Lease | undefined {
    // A call of a free model needs a lease as well: providers have charged for those.
    const least = max(ONE_NANO, maxCost)
    this.#lastMax = least
    if (!this.#maySpend()) return undefined
    let found: Lease | undefined
    let room = ZERO_NANOS
    for (const lease of this.#leases.values()) {
      const { available } = lease.account
      room = add(room, max(ZERO_NANOS, available))
      // The smallest that fits, so that the rest of large ones stays large.
      if (available >= least && !(found && found.account.available <= available)) found = lease
    }
    if (found && !this.#isScarce && subtract(room, maxCost) < this.#want / 2) void this.#ask(least)
    return found
  }

  /**
   * Waits until there may be money for a call. Throws BudgetExceededError when the shared budget is spent, BudgetHeldError
   * when other runtimes have it, CageError `budget_unreachable` or `runtime_revoked`.
   */
  async change({ agentId, maxCost }: { agentId: AgentId; maxCost: Nanodollars }, leftMs: number, signal?: AbortSignal) {
    if (leftMs <= 0 || signal?.aborted || this.#fault?.code === 'runtime_revoked') throw this.#refusal(agentId, maxCost)
    if (this.#exhausted && maxCost >= this.#exhausted.least) {
      const { limit, settled: spent } = this.#exhausted.balance
      this.#recordExhausted(agentId, { limit, spent }, maxCost)
      throw new BudgetExceededError({ budget: 'shared', agentId, limit, spent, needed: maxCost, until: null })
    }
    const changed = this.#nextChange(leftMs, signal)
    if (this.#maySpend()) void this.#ask(max(ONE_NANO, maxCost))
    await changed
  }

  /** The most that a new call may cost, as far as is known here. */
  available(): Nanodollars {
    if (!this.#balance) return UNLIMITED
    return add(
      this.#balance.free,
      ...[...this.#leases.values()].map(({ account }) => max(ZERO_NANOS, account.available)),
    )
  }

  /** The account of a lease that is not accounted for yet. */
  find(id: string | null): Lease | undefined {
    return id === null ? undefined : this.#leases.get(id)
  }

  /** Asks the panel what has changed, without waiting for the next report. */
  refresh(): void {
    this.#reportSoon()
  }

  /** Returns everything that no call holds, and reports it. Returns what is left to be accounted for. */
  async giveBackAll(): Promise<number> {
    this.#isClosing = true
    const deadline = this.#clock.monotonic() + CLOSE_MS
    while (this.#leases.size > 0 && this.#clock.monotonic() < deadline) {
      await this.#clock.sleep(SOON_MS)
      const isOpen = this.#epoch !== undefined
      await this.#report()
      if (this.#fault || (isOpen && [...this.#leases.values()].every(({ account }) => account.held > 0))) break
    }
    return this.#leases.size
  }

  /** Returns what no call holds to the panel, if it answers in time. */
  async close(): Promise<void> {
    this.#stop()
    await this.giveBackAll()
    await this.#reporting
    this.#wake()
  }

  #tick(): void {
    this.#rate = (1 - RATE_WEIGHT) * this.#rate + RATE_WEIGHT * (this.#spentSinceTick / (REPORT_INTERVAL_MS / 1000))
    this.#spentSinceTick = ZERO_NANOS
    void this.#report()
  }

  get #want(): Nanodollars {
    return nanodollars(Math.round(this.#rate * SLICE_S))
  }

  #maySpend(): boolean {
    return (
      this.#epoch !== undefined &&
      !this.#isClosing &&
      this.#deadline !== undefined &&
      !hasPassed(this.#deadline, this.#clock)
    )
  }

  /** One request at a time: until it is answered, the same one is repeated. */
  #ask(least: Nanodollars): Promise<void> {
    const epoch = this.#epoch
    if (epoch === undefined) return Promise.resolve()
    this.#asking ??= this.#send(async () => {
      const want = max(least, this.#want)
      const answer = await this.#bank.request({ epoch, request: this.#request, least, want })
      // Granted to an epoch that has ended: the panel lists it to the next one.
      if (this.#epoch !== epoch) return
      this.#heard(answer)
      if (answer.outcome === 'granted') {
        this.#request += 1
        this.#store(answer)
      } else if (answer.outcome === 'exhausted') this.#exhausted = { least, balance: answer.balance }
      else await this.#clock.sleep(RETRY_MS)
    }).finally(() => {
      this.#asking = undefined
      this.#wake()
    })
    return this.#asking
  }

  /** Only now the money may be spent: its row is on the disk. */
  #store({ id, granted }: { id: string; granted: Nanodollars }): void {
    if (this.#leases.has(id)) return
    const row: LeaseRow = { id, granted_nanos: granted, used_nanos: ZERO_NANOS, returned_nanos: ZERO_NANOS }
    this.#options.store.leases.insert(row)
    // What is left of older ones is too little for the call that asked.
    this.#giveBack([...this.#leases.values()].filter(({ account }) => account.available < this.#lastMax))
    this.#add(row)
  }

  #add({ id, granted_nanos, used_nanos, returned_nanos }: LeaseRow): void {
    const held = this.#options.store.leases.heldOf(id)
    const totals = { spent: used_nanos, spentBefore: ZERO_NANOS, held }
    const lease = { id, account: new Account('shared', subtract(granted_nanos, returned_nanos), totals) }
    this.#leases.set(id, lease)
    this.#watch(lease.account)
  }

  /** After each end of a call: what it did not need is free here, or returned. */
  #watch(account: Lease['account']): void {
    const before = account.spent
    account.onceChanged(() => {
      this.#spentSinceTick = add(this.#spentSinceTick, subtract(account.spent, before))
      this.#watch(account)
      this.#wake()
      if (this.#isScarce) this.#reportSoon()
    })
  }

  #reportSoon(): void {
    if (this.#isReportDue) return
    this.#isReportDue = true
    this.#clock.after(SOON_MS, () => void this.#report()).unref()
  }

  /** Reports, or opens first. One report at a time. */
  #report(): Promise<void> {
    this.#reporting ??= this.#send(() =>
      this.#epoch === undefined ? this.#open() : this.#reportAll(this.#epoch),
    ).finally(() => {
      this.#reporting = undefined
      this.#wake()
    })
    return this.#reporting
  }

  async #open(): Promise<void> {
    const from = deadlineFrom(this.#clock)
    const opened = await this.#bank.open({ journalId: this.#options.journalId })
    const { store } = this.#options
    const { returned, ended } = reconcile(this.#rows().map(entryOf), opened)
    store.transaction(() => {
      for (const entry of returned) store.leases.insert(rowOf(entry))
    })
    for (const entry of returned) this.#add(rowOf(entry))
    // Calls that still run are reported when they end.
    this.#giveBack(ended.map((id) => this.#leases.get(id)!))
    this.#request = 0
    this.#epoch = opened.epoch
    this.#deadline = after(from, opened.ttlMs)
  }

  async #reportAll(epoch: number): Promise<void> {
    this.#isReportDue = false
    if (this.#isScarce || this.#isClosing) this.#giveBack([...this.#leases.values()])
    const from = deadlineFrom(this.#clock)
    const statements = this.#rows().map((row) => statementOf(entryOf(row), this.#heldOf(row)))
    let begin = 0
    do {
      const part = statements.slice(begin, begin + MAX_STATEMENTS)
      const reported = await this.#bank.report({ epoch, statements: part })
      if (this.#epoch !== epoch) return
      this.#heard(reported)
      this.#forget(part.filter(({ isFinal }) => isFinal).map(({ id }) => id))
      begin += MAX_STATEMENTS
      if (begin >= statements.length) this.#deadline = after(from, reported.ttlMs)
    } while (begin < statements.length)
  }

  /** They are accounted for on the panel. */
  #forget(ids: readonly string[]): void {
    if (ids.length === 0) return
    this.#options.store.leases.remove(ids)
    for (const id of ids) this.#leases.delete(id)
  }

  /** Stored before it is reported; then the account has less to spend. */
  #giveBack(leases: readonly Lease[]): void {
    const rows = new Map(this.#rows().map((row) => [row.id, row]))
    const { store } = this.#options
    store.transaction(() => {
      for (const { id, account } of leases) {
        const row = rows.get(id)
        if (!row || account.available <= 0) continue
        const { returned } = givenBack(entryOf(row), this.#heldOf(row))
        store.leases.setReturned(id, returned)
        account.limit = subtract(row.granted_nanos, returned)
      }
    })
  }

  /** What calls hold, and what they cost as long as that is not committed. */
  #heldOf({ id, used_nanos }: LeaseRow): Nanodollars {
    const { held, spent } = this.#leases.get(id)!.account
    return add(held, subtract(spent, used_nanos))
  }

  #rows(): LeaseRow[] {
    return this.#options.store.leases.all()
  }

  #heard({ balance, isScarce }: { balance: SharedBalance; isScarce: boolean }): void {
    this.#balance = balance
    this.#isScarce = isScarce
    this.#exhausted = undefined
    if (isScarce && [...this.#leases.values()].some(({ account }) => account.available > 0)) this.#reportSoon()
  }

  /** Sends a message; a fault is kept for those who wait, and ends the epoch if another one has begun. */
  async #send(message: () => Promise<void>): Promise<void> {
    try {
      await message()
      this.#connected(true, null)
      this.#fault = undefined
    } catch (error) {
      this.#fault = asCageError(error)
      const isFenced = this.#fault.code === 'runtime_fenced'
      if (isFenced || this.#fault.code === 'runtime_revoked') this.#epoch = undefined
      if (isFenced) this.#reportSoon()
      this.#connected(false, this.#fault)
      if (!this.#isClosing) await this.#clock.sleep(RETRY_MS)
    }
  }

  #connected(isConnected: boolean, fault: CageError | null): void {
    if (this.#isConnected === isConnected) return
    this.#isConnected = isConnected
    const { url, record } = this.#options
    if (fault === null) {
      record({
        type: 'panel.connected',
        level: 'OK',
        message: `Connected to the Control Panel at ${url}`,
        data: { url },
      })
    } else {
      const { code, message: reason } = fault
      const message = `Lost the Control Panel at ${url}: ${reason}`
      record({ type: 'panel.lost', level: 'WARN', message, data: { url, code, reason } })
    }
  }

  #refusal(agentId: string, needed: Nanodollars): CageError {
    if (this.#fault?.code === 'runtime_revoked') return this.#fault
    const balance = this.#balance
    if (this.#fault || !balance || !this.#maySpend()) {
      return new CageError(
        'budget_unreachable',
        `${agentId} needs money of the shared budget, and ${this.#fault?.message ?? `the Control Panel at ${this.#options.url} has not answered yet`}`,
        {
          facts: { agent_id: agentId, panel: this.#options.url },
          retryAfterS: 1,
          cause: this.#fault,
        },
      )
    }
    const held = subtract(balance.limit, add(balance.settled, balance.free))
    return new BudgetHeldError({ budget: 'shared', agentId, needed, held })
  }

  /** Once for each agent and limit. */
  #recordExhausted(agentId: AgentId, balance: { limit: Nanodollars; spent: Nanodollars }, needed: Nanodollars): void {
    if (this.#notified.get(agentId) === balance.limit) return
    this.#notified.set(agentId, balance.limit)
    this.#options.record(exhaustedEvent(agentId, 'shared', balance, needed, null))
  }

  #nextChange(ms: number, signal: AbortSignal | undefined): Promise<undefined> {
    return new Promise((resolve) => {
      const done = () => {
        timer.cancel()
        signal?.removeEventListener('abort', done)
        this.#waiting.delete(done)
        resolve(undefined)
      }
      const timer = this.#clock.after(ms, done)
      signal?.addEventListener('abort', done, { once: true })
      this.#waiting.add(done)
    })
  }

  #wake(): void {
    for (const resume of [...this.#waiting]) resume()
  }
}

/** Of one message. */
const MAX_STATEMENTS = 500

const entryOf = ({ id, granted_nanos, used_nanos, returned_nanos }: LeaseRow): JournalEntry => ({
  id,
  granted: granted_nanos,
  used: used_nanos,
  returned: returned_nanos,
})

const rowOf = ({ id, granted, used, returned }: JournalEntry): LeaseRow => ({
  id,
  granted_nanos: granted,
  used_nanos: used,
  returned_nanos: returned,
})

/**
 * A moment on three clocks, of which the earliest counts: the monotonic one stands still while a machine sleeps, the wall
 * clock may be set back, and the time since the system's start is coarse.
 */
interface Deadline {
  monotonic: number
  wall: number
  uptime: number
}

const deadlineFrom = (clock: Clock): Deadline => ({
  monotonic: clock.monotonic(),
  wall: clock.now(),
  uptime: uptime() * 1000,
})

const after = ({ monotonic, wall, uptime: up }: Deadline, ms: number): Deadline => ({
  monotonic: monotonic + ms,
  wall: wall + ms,
  uptime: up + ms,
})

const hasPassed = (deadline: Deadline, clock: Clock): boolean =>
  clock.monotonic() >= deadline.monotonic || clock.now() >= deadline.wall || uptime() * 1000 >= deadline.uptime
