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
 * - A panel whose database has lost commits is shown every lease, also those that were accounted for, before anything more
 *   is asked of it.
 * - When money is scarce, everything that no call holds is returned at once; so is it when a lease's period ends.
 */

import { Account } from '../budget/account.ts'
import { exhaustedEvent } from '../budget/budget-events.ts'
import type { SharedMoney, SharedSpender } from '../budget/shared-money.ts'
import { type Clock, every, isoTime } from '../core/clock.ts'
import { asCageError, BudgetExceededError, BudgetHeldError, CageError } from '../core/errors.ts'
import type { NewEvent } from '../core/events.ts'
import type { AgentId } from '../core/ids.ts'
import { add, max, type Nanodollars, nanodollars, subtract, UNLIMITED, ZERO_NANOS } from '../core/money.ts'
import type { Store } from '../db/store.ts'
import type { LeaseRow } from '../db/tables/leases.ts'
import {
  type CallerNames,
  DEFAULT_COVER_S,
  type LeaseAnswer,
  type LeaseBank,
  type LeaseUse,
  type NamedBudget,
  type Reported,
} from '../protocol/lease-messages.ts'
import { after, type Deadline, deadlineFrom, hasPassed } from './deadline.ts'
import type { Journal } from './journal.ts'
import { givenBack, type JournalEntry, reconcile, statementOf } from './lease-journal.ts'
import { LeaseMemory } from './lease-memory.ts'
import { hasEnded, heldOf, type KnownBalance, type Lease, LeasePool } from './lease-pool.ts'

/** How often the runtime reports. A revocation or a recall takes no longer to arrive. */
const REPORT_INTERVAL_MS = 1_000
/** Charges of ended calls are committed within this time, and reported together, in ms. */
const SOON_MS = 10
/** Before a request that found no money is repeated, in ms. */
const RETRY_MS = 50
/** How long the last reports may take when the runtime stops, in ms. */
const CLOSE_MS = 2_000

const ONE_NANO = nanodollars(1)

export interface LeasesOptions {
  store: Store
  clock: Clock
  bank: LeaseBank
  journal: Journal
  /** The panel's address, for messages. */
  url: string
  /** Null for an unknown one. */
  agentName: (agentId: AgentId) => string | null
  record: (event: NewEvent) => void
}

export class Leases implements SharedMoney {
  readonly #options: LeasesOptions
  readonly #clock: Clock
  readonly #bank: LeaseBank
  readonly #memory: LeaseMemory
  readonly #leases = new Map<string, Lease>()
  readonly #waiting = new Set<() => void>()
  readonly #stop: () => void
  /** Undefined until the panel has answered. */
  #epoch: number | undefined
  #request = 0
  #deadline: Deadline | undefined
  /** For callers without shared budgets of their own. */
  readonly #base = new LeasePool({ agent: null, token: null })
  /** By their names. */
  readonly #pools = new Map([[keyOf(this.#base.names), this.#base]])
  /** The agents and tokens with shared budgets of their own, as the panel listed them. */
  #named = namesIn([])
  #budgetsVersion = -1
  /** How far the panel's books were when they were last heard of. */
  #bookmark: string | null = null
  #coverS = DEFAULT_COVER_S
  /** The limit and period that each agent was last told is spent. */
  readonly #notified = new Map<AgentId, string>()
  /** Why the last message failed; undefined if it did not. */
  #fault: CageError | undefined
  #isConnected: boolean | undefined
  #asking: Promise<void> | undefined
  #reporting: Promise<void> | undefined
  #isReportDue = false
  #isClosing = false
  #isClosed = false

  constructor(options: LeasesOptions) {
    this.#options = options
    this.#clock = options.clock
    this.#bank = options.bank
    this.#memory = new LeaseMemory(options.store, options.clock)
    for (const row of this.#rows()) this.#add(row, this.#base)
    this.#stop = every(this.#clock, REPORT_INTERVAL_MS, () => this.#tick())
    void this.#report()
  }

  /** Returns a lease that can pay; undefined if none can now. Must not be awaited before its money is held. */
  leaseFor(spender: SharedSpender, maxCost: Nanodollars): Lease | undefined {
    const pool = this.#poolOf(spender)
    // A call of a free model needs a lease as well: providers have charged for those.
    const least = max(ONE_NANO, maxCost)
    pool.lastMax = least
    if (!this.#maySpend()) return undefined
    const { found, room } = pool.find(least, this.#clock)
    if (found && !pool.isScarce && subtract(room, maxCost) < pool.wanted(this.#coverS) / 2) void this.#ask(pool, least)
    return found
  }

  /**
   * Waits until there may be money for a call. Throws BudgetExceededError when the shared budget is spent, BudgetHeldError
   * when other runtimes have it, CageError `budget_unreachable` or `runtime_revoked`.
   */
  async change(call: SharedSpender & { maxCost: Nanodollars }, leftMs: number, signal?: AbortSignal) {
    const { agentId, maxCost } = call
    const pool = this.#poolOf(call)
    if (leftMs <= 0 || signal?.aborted || this.#fault?.code === 'runtime_revoked') {
      throw this.#refusal(pool, agentId, maxCost)
    }
    if (pool.exhausted && maxCost >= pool.exhausted.least) {
      const { limit, settled: spent, endsAt } = pool.exhausted.balance
      const until = endsAt === null ? null : isoTime(endsAt)
      this.#recordExhausted(agentId, { limit, spent }, maxCost, until)
      throw new BudgetExceededError({ budget: 'shared', agentId, limit, spent, needed: maxCost, until })
    }
    const changed = this.#nextChange(leftMs, signal)
    if (this.#maySpend()) void this.#ask(pool, max(ONE_NANO, maxCost))
    await changed
  }

  /** The most that a new call may cost, as far as is known here. */
  available(spender: SharedSpender): Nanodollars {
    const pool = this.#poolOf(spender)
    const { balance } = pool.balance && !pool.isOutdated ? pool : this.#base
    return balance ? add(balance.free, pool.unheld) : UNLIMITED
  }

  /** What is not spent of the shared budgets, by any machine, as far as is known here; nothing before the panel has answered. */
  unspent(spender: SharedSpender): Nanodollars {
    const balance = this.#poolOf(spender).balance ?? this.#base.balance
    return balance ? subtract(balance.limit, balance.settled) : ZERO_NANOS
  }

  /** What the panel said last, of the budgets that pay for any call first. */
  known(): { fault: CageError | undefined; canSpend: boolean; balances: KnownBalance[] } {
    const balances = new Map<string, KnownBalance>()
    for (const { balance } of this.#pools.values()) {
      if (balance && !balances.has(balance.budget)) balances.set(balance.budget, balance)
    }
    return { fault: this.#fault, canSpend: this.#maySpend(), balances: [...balances.values()] }
  }

  /** Waits until the panel has answered, or could not be reached; no longer than `ms`. */
  async firstAnswer(ms: number): Promise<void> {
    if (!this.#base.balance && !this.#fault) await this.#nextChange(ms, undefined)
  }

  /** The account of a lease that is not accounted for yet. */
  find(id: string | null): Lease | undefined {
    return id === null ? undefined : this.#leases.get(id)
  }

  /** Asks the panel what has changed, without waiting for the next report; the one under way may be older than the change. */
  refresh(): void {
    void Promise.resolve(this.#reporting).then(() => this.#reportSoon())
  }

  /** Returns everything that no call holds, and reports it. Returns what is left to be accounted for. */
  async giveBackAll(): Promise<number> {
    this.#isClosing = true
    const deadline = this.#clock.monotonic() + CLOSE_MS
    while (this.#leases.size > 0 && this.#clock.monotonic() < deadline) {
      await this.#clock.sleep(SOON_MS)
      const isOpen = this.#epoch !== undefined
      await this.#report()
      // A fenced runtime opens again: so is one of whose leases a person has just resolved one.
      if (this.#fault?.code === 'runtime_fenced') continue
      if (this.#fault || (isOpen && [...this.#leases.values()].every(({ account }) => account.held > 0))) break
    }
    return this.#leases.size
  }

  /** Returns what no call holds to the panel, if it answers in time. */
  async close(): Promise<void> {
    this.#stop()
    await this.giveBackAll()
    await this.#reporting
    // An answer that is still on its way is heard by nobody: the panel lists what it grants to the next epoch.
    this.#epoch = undefined
    this.#isClosed = true
    this.#wake()
    this.#options.journal.close()
  }

  #tick(): void {
    for (const pool of this.#pools.values()) pool.tick(REPORT_INTERVAL_MS / 1000)
    this.#giveBack([...this.#leases.values()].filter((lease) => hasEnded(lease, this.#clock) || !paysForCalls(lease)))
    void this.#report()
  }

  #poolOf({ agentId, tokenName }: SharedSpender): LeasePool {
    const { agents, tokens } = this.#named
    if (agents.size === 0 && tokens.size === 0) return this.#base
    const agent = this.#options.agentName(agentId)
    return this.#poolFor({
      agent: agent !== null && agents.has(agent) ? agent : null,
      token: tokenName !== undefined && tokens.has(tokenName) ? tokenName : null,
    })
  }

  #poolFor(names: CallerNames): LeasePool {
    const key = keyOf(names)
    const pool = this.#pools.get(key) ?? new LeasePool(names)
    this.#pools.set(key, pool)
    return pool
  }

  #maySpend(): boolean {
    return (
      this.#epoch !== undefined &&
      !this.#isClosing &&
      this.#deadline !== undefined &&
      !hasPassed(this.#deadline, this.#clock)
    )
  }

  /** One request at a time: until it is answered, its number is repeated, and the answer says whose it is. */
  #ask(pool: LeasePool, least: Nanodollars): Promise<void> {
    const epoch = this.#epoch
    if (epoch === undefined) return Promise.resolve()
    this.#asking ??= this.#send(async () => {
      const want = max(least, pool.wanted(this.#coverS))
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
        const granted = this.#poolFor(answer.names)
        this.#heard(granted, answer)
        this.#request += 1
        this.#store(answer, from, epoch)
        return
      }
      this.#heard(pool, answer)
      if (answer.outcome === 'exhausted') pool.exhausted = { least, balance: answer.balance }
      else await this.#clock.sleep(RETRY_MS)
    }).finally(() => {
      this.#asking = undefined
      this.#wake()
    })
    return this.#asking
  }

  /** Only now the money may be spent: its row is on the disk. */
  #store(answer: LeaseAnswer & { outcome: 'granted' }, from: Deadline, epoch: number): void {
    const { id, granted, signed } = answer
    if (this.#leases.has(id)) return
    const row = rowOf({ id, granted, used: ZERO_NANOS, returned: ZERO_NANOS }, signed)
    const { store } = this.#options
    store.transaction(() => {
      store.leases.insert(row)
      this.#memory.next = { epoch, request: this.#request }
    })
    const pool = this.#poolFor(answer.names)
    // What is left of older ones is too little for the call that asked.
    this.#giveBack([...pool.leases].filter(({ account }) => account.available < pool.lastMax))
    this.#add(row, pool)
    this.#use(id, answer, from)
  }

  /** It pays for nothing before `#use`. */
  #add({ id, granted_nanos, used_nanos, returned_nanos }: LeaseRow, pool: LeasePool): void {
    const held = this.#options.store.leases.heldOf(id)
    const totals = { spent: used_nanos, spentBefore: ZERO_NANOS, held }
    const account = new Account('shared', subtract(granted_nanos, returned_nanos), totals)
    const lease: Lease = { id, account, pool, ends: undefined }
    this.#leases.set(id, lease)
    this.#watch(lease)
  }

  /** Says whose calls a lease pays for, and until when. `from`: before the panel was asked. */
  #use(id: string, { names, endsInMs }: LeaseUse, from: Deadline): void {
    const lease = this.#leases.get(id)
    if (!lease) return
    lease.pool.leases.delete(lease)
    lease.pool = this.#poolFor(names)
    lease.pool.leases.add(lease)
    lease.ends = endsInMs === null ? undefined : after(from, endsInMs)
  }

  /** After each end of a call: what it did not need is free here, or returned. */
  #watch(lease: Lease): void {
    const { account } = lease
    const before = account.spent
    account.onceChanged(() => {
      lease.pool.spent(subtract(account.spent, before))
      this.#watch(lease)
      this.#wake()
      if (lease.pool.isScarce) this.#reportSoon()
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
      for (const row of this.#memory.reopen(opened.leases.map(({ id }) => id))) this.#add(row, this.#base)
      const found = reconcile(this.#rows().map(entryOf), opened, next ?? { epoch: 0, request: 0 })
      for (const row of found.returned.map((entry) => rowOf(entry, null))) {
        store.leases.insert(row)
        this.#add(row, this.#base)
      }
      this.#memory.next = { epoch: opened.epoch, request: 0 }
      this.#memory.opened(opening)
      return found.ended
    })
    // One that the panel no longer lists pays for nothing, even if a call that held of it turns out to have cost nothing.
    for (const { leases } of this.#pools.values()) leases.clear()
    for (const lease of opened.leases) this.#use(lease.id, lease, from)
    // Calls that still run are reported when they end.
    this.#giveBack(ended.map((id) => this.#leases.get(id)!))
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
      const presented = rows.map((row) => {
        const lease = this.#leases.get(row.id)
        const held = lease ? heldOf(lease, row.used_nanos) : ZERO_NANOS
        return { ...statementOf(entryOf(row), held), signed: row.signed }
      })
      if (presented.length > 0) await this.#bank.present(presented)
    }
  }

  async #reportAll(epoch: number): Promise<void> {
    this.#isReportDue = false
    this.#giveBack([...this.#leases.values()].filter(({ pool }) => pool.isScarce || this.#isClosing))
    const from = deadlineFrom(this.#clock)
    const rows = this.#rows()
    const signed = new Set(rows.flatMap((row) => (row.signed === null ? [] : [row.id])))
    const statements = rows.map((row) => statementOf(entryOf(row), heldOf(this.#leases.get(row.id)!, row.used_nanos)))
    let begin = 0
    do {
      const part = statements.slice(begin, begin + MAX_STATEMENTS)
      const reported = await this.#bank.report({
        epoch,
        statements: part,
        budgetsVersion: this.#budgetsVersion,
        bookmark: this.#bookmark,
      })
      if (this.#epoch !== epoch) return
      this.#learn(reported)
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
    for (const id of ids) {
      const lease = this.#leases.get(id)
      lease?.pool.leases.delete(lease)
      this.#leases.delete(id)
    }
  }

  #learn({ coverS, budgetsVersion, budgets, pools, bookmark }: Reported): void {
    this.#bookmark = bookmark
    this.#coverS = coverS
    if (budgets) {
      this.#named = namesIn(budgets)
      this.#budgetsVersion = budgetsVersion
    }
    for (const pool of this.#pools.values()) {
      // Reports say nothing of callers without leases: their next call asks whether the money is still spent.
      if (pool.exhausted) pool.isOutdated = true
      pool.exhausted = undefined
    }
    for (const { agent, token, ...said } of pools) this.#heard(this.#poolFor({ agent, token }), said)
  }

  /** Stored before it is reported; then the account has less to spend. */
  #giveBack(leases: readonly Lease[]): void {
    const rows = new Map(this.#rows().map((row) => [row.id, row]))
    const { store } = this.#options
    store.transaction(() => {
      for (const lease of leases) {
        const { id, account } = lease
        const row = rows.get(id)
        if (!row || account.available <= 0) continue
        const { returned } = givenBack(entryOf(row), heldOf(lease, row.used_nanos))
        store.leases.setReturned(id, returned)
        account.limit = subtract(row.granted_nanos, returned)
      }
    })
  }

  #rows(): LeaseRow[] {
    return this.#options.store.leases.open()
  }

  #heard(pool: LeasePool, { balance, isScarce }: Pick<LeaseAnswer, 'balance' | 'isScarce'>): void {
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

  #refusal({ balance }: LeasePool, agentId: string, needed: Nanodollars): CageError {
    if (this.#fault?.code === 'runtime_revoked') return this.#fault
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

  /** Once for each agent, limit and period. */
  #recordExhausted(
    agentId: AgentId,
    balance: { limit: Nanodollars; spent: Nanodollars },
    needed: Nanodollars,
    until: string | null,
  ): void {
    const said = `${balance.limit} ${until}`
    if (this.#notified.get(agentId) === said) return
    this.#notified.set(agentId, said)
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

const paysForCalls = (lease: Lease): boolean => lease.pool.leases.has(lease)

const entryOf = ({ id, granted_nanos, used_nanos, returned_nanos }: LeaseRow): JournalEntry => ({
  id,
  granted: granted_nanos,
  used: used_nanos,
  returned: returned_nanos,
})

const rowOf = ({ id, granted, used, returned }: JournalEntry, signed: string | null): LeaseRow => ({
  id,
  signed,
  closed_at: null,
  granted_nanos: granted,
  used_nanos: used,
  returned_nanos: returned,
})

const keyOf = ({ agent, token }: CallerNames): string => JSON.stringify([agent, token])

function namesIn(budgets: readonly NamedBudget[]) {
  const of = (wanted: NamedBudget['scope']) =>
    new Set(budgets.flatMap(({ scope, name }) => (scope === wanted ? [name] : [])))
  return { agents: of('agent'), tokens: of('token') }
}
