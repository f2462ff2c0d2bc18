/**
 * The conversation of this runtime with its Control Panel about leases, and the right to spend that it gives.
 *
 * - A lease is stored before it is spent. Reports are read from the ledger, so that a killed runtime never reported
 *   more than it finds after its start.
 * - Each start begins an epoch; until the panel has answered, nothing is spent.
 * - Without an answer to a report for longer than the panel allows, nothing new is held: only a report of every lease
 *   extends the right to spend, so that none counts as expired on the panel while it is spent here. Running calls end and
 *   are charged.
 * - A panel whose database has lost commits is shown every lease, also those that were accounted for, before anything more
 *   is asked of it.
 * - When money is scarce, everything that no call holds is returned at once; so is it when a lease's period ends.
 */

import { type Clock, every } from '../core/clock.ts'
import { asCageError, type CageError } from '../core/errors.ts'
import type { NewEvent } from '../core/events.ts'
import { max, type Nanodollars, ZERO_NANOS } from '../core/money.ts'
import type { Store } from '../db/store.ts'
import { DEFAULT_COVER_S, type LeaseAnswer, type LeaseBank, type Reported } from '../protocol/lease-messages.ts'
import { after, type Deadline, deadlineFrom, hasPassed } from './deadline.ts'
import type { Journal } from './journal.ts'
import { entryOf, LeaseAccounts, paysForCalls, rowOf } from './lease-accounts.ts'
import { reconcile } from './lease-journal.ts'
import { LeaseMemory } from './lease-memory.ts'
import { hasEnded, type LeasePool } from './lease-pool.ts'
import type { LeasePools } from './lease-pools.ts'

/** How often the runtime reports. A revocation or a recall takes no longer to arrive. */
const REPORT_INTERVAL_MS = 1_000
/** Charges of ended calls are committed within this time, and reported together, in ms. */
const SOON_MS = 10
/** Before a request that found no money is repeated, in ms. */
const RETRY_MS = 50
/** How long the last reports may take when the runtime stops, in ms. */
const CLOSE_MS = 2_000
/** Of one message. */
const MAX_STATEMENTS = 500

export interface LeaseExchangeOptions {
  store: Store
  clock: Clock
  bank: LeaseBank
  journal: Journal
  /** The panel's address, for messages. */
  url: string
  record: (event: NewEvent) => void
}

export class LeaseExchange {
  readonly accounts: LeaseAccounts
  readonly #options: LeaseExchangeOptions
  readonly #pools: LeasePools
  readonly #clock: Clock
  readonly #bank: LeaseBank
  readonly #memory: LeaseMemory
  readonly #waiting = new Set<() => void>()
  readonly #stop: () => void
  /** Undefined until the panel has answered. */
  #epoch: number | undefined
  #request = 0
  /** Of the right to spend. */
  #deadline: Deadline | undefined
  /** How far the panel's books were at its last answer. */
  #bookmark: string | null = null
  #coverS = DEFAULT_COVER_S
  #fault: CageError | undefined
  #isConnected: boolean | undefined
  #asking: Promise<void> | undefined
  #reporting: Promise<void> | undefined
  #isReportDue = false
  #isClosing = false
  #isClosed = false

  constructor(options: LeaseExchangeOptions, pools: LeasePools) {
    const { store, clock, bank } = options
    this.#options = options
    this.#pools = pools
    this.#clock = clock
    this.#bank = bank
    this.#memory = new LeaseMemory(store, clock)
    const onFreed = ({ pool }: { pool: LeasePool }) => {
      this.#wake()
      if (pool.isScarce) this.#reportSoon()
    }
    this.accounts = new LeaseAccounts({ store, pools, onFreed })
    this.#stop = every(clock, REPORT_INTERVAL_MS, () => this.#tick())
    void this.#report()
  }

  /** Why the last message failed; undefined if it did not. */
  get fault(): CageError | undefined {
    return this.#fault
  }

  /** A report of every lease was answered within the time that the panel allows. */
  get maySpend(): boolean {
    return (
      this.#epoch !== undefined &&
      !this.#isClosing &&
      this.#deadline !== undefined &&
      !hasPassed(this.#deadline, this.#clock)
    )
  }

  /** How much the callers of a pool spend in the time that a lease should last. */
  wantedFor(pool: LeasePool): Nanodollars {
    return pool.wanted(this.#coverS)
  }

  /** One request at a time: until it is answered, its number is repeated, and the answer names the callers. */
  ask(pool: LeasePool, least: Nanodollars): Promise<void> {
    const epoch = this.#epoch
    if (epoch === undefined) return Promise.resolve()
    this.#asking ??= this.#send(async () => {
      const want = max(least, this.wantedFor(pool))
      const from = deadlineFrom(this.#clock)
      const answer = await this.#bank.request({
        epoch,
        request: this.#request,
        least,
        want,
        ...pool.names,
        bookmark: this.#bookmark,
      })
      // Granted to an epoch that has ended: the panel lists it to the next one.
      if (this.#epoch !== epoch) return
      if (answer.outcome === 'granted') {
        const granted = this.#pools.for(answer.names)
        this.#setBalance(granted, answer)
        this.#request += 1
        this.#store(answer, from, epoch)
        return
      }
      this.#setBalance(pool, answer)
      if (answer.outcome === 'exhausted') pool.exhausted = { least, balance: answer.balance }
      else await this.#clock.sleep(RETRY_MS)
    }).finally(() => {
      this.#asking = undefined
      this.#wake()
    })
    return this.#asking
  }

  /** Waits until something has changed that may let a call begin; no longer than `ms`. */
  nextChange(ms: number, signal?: AbortSignal): Promise<undefined> {
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

  /** Asks the panel for changes without waiting for the next report; the one under way may be older than the change. */
  refresh(): void {
    void Promise.resolve(this.#reporting).then(() => this.#reportSoon())
  }

  /** Returns everything that no call holds, and reports it. Returns how many leases are not settled. */
  async giveBackAll(): Promise<number> {
    this.#isClosing = true
    const deadline = this.#clock.monotonic() + CLOSE_MS
    while (this.accounts.size > 0 && this.#clock.monotonic() < deadline) {
      await this.#clock.sleep(SOON_MS)
      const isOpen = this.#epoch !== undefined
      await this.#report()
      // A fenced runtime opens again: so is one of whose leases a person has just resolved one.
      if (this.#fault?.code === 'runtime_fenced') continue
      if (this.#fault || (isOpen && [...this.accounts].every(({ account }) => account.held > 0))) break
    }
    return this.accounts.size
  }

  /** Returns what no call holds, if the panel answers in time. */
  async close(): Promise<void> {
    this.#stop()
    await this.giveBackAll()
    await this.#reporting
    // An answer that is still on its way is ignored: the panel lists its grant to the next epoch.
    this.#epoch = undefined
    this.#isClosed = true
    this.#wake()
    this.#options.journal.close()
  }

  #tick(): void {
    for (const pool of this.#pools) pool.tick(REPORT_INTERVAL_MS / 1000)
    this.accounts.giveBack([...this.accounts].filter((lease) => hasEnded(lease, this.#clock) || !paysForCalls(lease)))
    void this.#report()
  }

  /** Only now the money may be spent: its row is on the disk. */
  #store(answer: LeaseAnswer & { outcome: 'granted' }, from: Deadline, epoch: number): void {
    const { id, granted, signed } = answer
    if (this.accounts.find(id)) return
    const row = rowOf({ id, granted, used: ZERO_NANOS, returned: ZERO_NANOS }, signed)
    const { store } = this.#options
    store.transaction(() => {
      store.leases.insert(row)
      this.#memory.next = { epoch, request: this.#request }
    })
    const pool = this.#pools.for(answer.names)
    // The rest of older ones is too little for the call that asked.
    this.accounts.giveBack([...pool.leases].filter(({ account }) => account.available < pool.lastMax))
    this.accounts.add(row)
    this.accounts.use(id, answer, from)
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
    const { next, generation, opening } = this.#memory
    const opened = await this.#bank.open({
      opening,
      journalId: this.#options.journal.id,
      epoch: next?.epoch ?? 0,
      generation,
      bookmark: this.#bookmark,
    })
    if (opened.generation !== undefined && opened.generation !== generation) {
      await this.#present()
      this.#memory.generation = opened.generation
      return this.#open()
    }
    const { store } = this.#options
    const ended = store.transaction(() => {
      for (const row of this.#memory.reopen(opened.leases.map(({ id }) => id))) this.accounts.add(row)
      const found = reconcile(this.accounts.rows().map(entryOf), opened, next ?? { epoch: 0, request: 0 })
      for (const row of found.returned.map((entry) => rowOf(entry, null))) {
        store.leases.insert(row)
        this.accounts.add(row)
      }
      this.#memory.next = { epoch: opened.epoch, request: 0 }
      this.#memory.opened(opening)
      return found.ended
    })
    // One that the panel no longer lists pays for nothing, even if a call that held of it turns out to have cost nothing.
    for (const { leases } of this.#pools) leases.clear()
    for (const lease of opened.leases) this.accounts.use(lease.id, lease, from)
    // Calls that still run are reported when they end.
    this.accounts.giveBack(ended.map((id) => this.accounts.find(id)!))
    this.#request = 0
    this.#epoch = opened.epoch
    this.#coverS = opened.coverS
    // Nothing is spent before the first report, which brings the agents and tokens with budgets of their own.
    this.#deadline = undefined
    await this.#reportAll(opened.epoch)
  }

  /** Shows the panel every lease that it may have forgotten. */
  async #present(): Promise<void> {
    for (const rows of this.#memory.signed()) {
      const presented = rows.map((row) => ({ ...this.accounts.statementOf(row), signed: row.signed }))
      if (presented.length > 0) await this.#bank.present(presented)
    }
  }

  async #reportAll(epoch: number): Promise<void> {
    this.#isReportDue = false
    this.accounts.giveBack([...this.accounts].filter(({ pool }) => pool.isScarce || this.#isClosing))
    const from = deadlineFrom(this.#clock)
    const rows = this.accounts.rows()
    const signed = new Set(rows.flatMap((row) => (row.signed === null ? [] : [row.id])))
    const statements = rows.map((row) => this.accounts.statementOf(row))
    let begin = 0
    do {
      const part = statements.slice(begin, begin + MAX_STATEMENTS)
      const reported = await this.#bank.report({
        epoch,
        statements: part,
        budgetsVersion: this.#pools.version,
        bookmark: this.#bookmark,
      })
      if (this.#epoch !== epoch) return
      this.#apply(reported)
      if (part.some(({ id }) => reported.unknown.includes(id) && signed.has(id))) return this.#present()
      this.#forget(part.filter(({ isFinal }) => isFinal).map(({ id }) => id))
      begin += MAX_STATEMENTS
      if (begin >= statements.length) this.#deadline = after(from, reported.ttlMs)
    } while (begin < statements.length)
  }

  /** They are accounted for on the panel. */
  #forget(ids: readonly string[]): void {
    if (ids.length === 0) return
    this.#memory.close(ids)
    this.accounts.remove(ids)
  }

  #apply({ coverS, budgetsVersion, budgets, pools, bookmark }: Reported): void {
    this.#bookmark = bookmark
    this.#coverS = coverS
    if (budgets) this.#pools.setBudgets(budgetsVersion, budgets)
    for (const pool of this.#pools) {
      // Reports leave out callers without leases: their next call asks whether the money is still spent.
      if (pool.exhausted) pool.isOutdated = true
      pool.exhausted = undefined
    }
    for (const { agent, token, ...answer } of pools) this.#setBalance(this.#pools.for({ agent, token }), answer)
  }

  #setBalance(pool: LeasePool, { balance, isScarce }: Pick<LeaseAnswer, 'balance' | 'isScarce'>): void {
    pool.balance = { ...balance, heardAt: this.#clock.now() }
    pool.isScarce = isScarce
    pool.exhausted = undefined
    pool.isOutdated = false
    if (isScarce && pool.unheld > 0) this.#reportSoon()
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
    if (this.#isConnected === isConnected || this.#isClosed) return
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
      const message = `Lost the shared budget: ${reason}`
      record({ type: 'panel.lost', level: 'WARN', message, data: { url, code, reason } })
    }
  }

  #wake(): void {
    for (const resume of [...this.#waiting]) resume()
  }
}
