/**
 * The ledger: how much may be spent, was spent, and is held for calls that run. Every call is paid by its agent's
 * budget and, where the configuration has them, by its run's and by the whole server's, and by those of the parts of its
 * work that it is made in; all must pass.
 *
 * The rules are:
 * - spent + held ≤ limit at every instant, in each budget. What decides about money is synchronous: `#tryHold` looks at
 *   all budgets and holds in all of them without an await between. A call waits only after that, and asks again from the
 *   start.
 * - A hold counts from the moment it is decided, and its row is committed before anything is sent. No row, no call: what
 *   cannot be committed is let go again. Holds of one turn of the event loop share a commit.
 * - Every hold ends exactly once, by `charge` or `release`; ending it twice throws. What a killed server left open is
 *   unresolved and stays held until a person says what became of it.
 * - Memory is charged at once; the row follows with the event that tells of it, in one transaction (`Settled.write`).
 * - A charge is posted in full, also above its hold: the money is gone.
 * - What has ended is never edited: a correction is a row of its own and counts when its call did.
 * - The limits of runs and of the server begin as the configuration says and are changed live like an agent's own. What
 *   they were changed to holds until the configuration says something else than it did then.
 * - A charge counts in the period in which it is made, a hold in each in which it is open. While the server runs,
 *   periods only go forward, whatever the wall clock does, and no row is dated before the period it counts in.
 */
import { type Clock, isoTime } from '../clock.ts'
import type { Config } from '../config/schema.ts'
import { type BudgetTable, budgetTable } from '../db/budgets.ts'
import { type CallEnd, type CallKind, type CallRow, type CallTable, callTable } from '../db/calls.ts'
import { type Database, isStorageFault } from '../db/database.ts'
import { type MetaTable, metaTable } from '../db/meta.ts'
import { BudgetExceededError, BudgetHeldError, CageError } from '../errors.ts'
import type { BudgetPeriod, RuntimeEvent } from '../events.ts'
import { type AgentId, type CallId, newCallId, type RunId } from '../ids.ts'
import {
  type BudgetScope,
  type ConfiguredScope,
  fromUsd,
  type Nanodollars,
  showUsd,
  toUsd,
  type Usd,
} from '../money.ts'
import type { StateManager } from '../state/state-manager.ts'
import { Account, accountChange, type Balance } from './account.ts'
import {
  correctedEvent,
  exhaustedEvent,
  openedEvent,
  type PaidBy,
  periodBeganEvent,
  raisedEvent,
  resolvedEvent,
  warnedEvent,
} from './budget-events.ts'
import { type Period, type PeriodRule, periodsOf } from './period.ts'

/** How long holds are refused without asking a database that could not be written, in ms: each try blocks a while. */
const UNUSABLE_MS = 250
/** How long a call may wait for money that running calls hold, in ms. */
const WAIT_FOR_HELD_MS = 2_000
/** Timers count no further than 24 days. */
const LONGEST_TIMER_MS = 86_400_000

/** Who spends; `runId` is null for a client that is not supervised, which no run's budget concerns. */
export interface Spender {
  agentId: AgentId
  runId: RunId | null
}

export interface HoldRequest extends Spender {
  callId: CallId
  kind: CallKind
  /** Provider or service. */
  target: string
  model: string | null
  /** The most this call can cost. */
  most: Nanodollars
}

/** Money set aside for one running call. */
export interface Hold extends HoldRequest {
  readonly startedAt: string
}

/** How a call ended, for its row. */
export interface Charge {
  cost: Nanodollars
  estimated?: boolean
  price?: unknown
  usage?: unknown
  status?: number | null
  code?: string | null
}

/** An ended hold whose row is still to be written, together with its event: `state.record(event, settled.write)`. */
export interface Settled {
  cost: Nanodollars
  paidBy: PaidBy
  write: () => void
}

/** What a call costs after all. */
export interface CorrectionRequest {
  agentId: AgentId
  callId: CallId
  /** Not the difference. */
  cost: Nanodollars
  reason: string
  /** Who wants it. */
  by: string
}

/** What became of a call that a killed server left open. */
export interface Resolution {
  agentId: AgentId
  callId: CallId
  /** Null: released, it cost nothing; undefined: it cost what is held. */
  cost: Nanodollars | null | undefined
  by: string
}

export interface LedgerOptions {
  database: Database
  state: StateManager
  clock: Clock
  /** Shares of the limit, 0–1, at which to warn. */
  warnAt: readonly number[]
  /** Limit of each run. (Default: none.) */
  perRun?: Nanodollars
  /** Limit of all agents together. (Default: none.) */
  server?: Nanodollars
  /** The agents' limits and the server's hold for a day or a month each; a run's never does. (Default: for ever.) */
  period?: PeriodRule
}

/** The ledger as the configuration wants it. */
export function openLedger(
  budget: Config['budget'],
  parts: Pick<LedgerOptions, 'database' | 'state' | 'clock'>,
): Ledger {
  const { warn_at: warnAt, per_run_usd, server_usd, period } = budget
  const limit = (usd: Usd | undefined) => (usd === undefined ? undefined : fromUsd(usd))
  return new Ledger({ ...parts, warnAt, perRun: limit(per_run_usd), server: limit(server_usd), period })
}

export class Ledger {
  readonly #database: Database
  readonly #state: StateManager
  readonly #clock: Clock
  /** Share of a limit, 0–1, at which to warn. */
  readonly warnAt: number
  readonly #calls: CallTable
  readonly #budgets: BudgetTable
  readonly #meta: MetaTable
  readonly #agents = new Map<AgentId, Account>()
  /** Of runs that this server saw: a run does not outlive it, and a late call of one that has ended is still its own. */
  readonly #runs = new Map<RunId, Account>()
  /** Parts of an agent's work that have a limit of their own, by the run they count as. */
  readonly #parts = new Map<RunId, { account: Account; within: RunId | null }>()
  /** What the configuration says. */
  readonly #configured: Readonly<Record<ConfiguredScope, Nanodollars | undefined>>
  #perRun: Nanodollars | undefined
  readonly #server: Account | undefined
  /** What each open hold counts against. */
  readonly #open = new Map<CallId, readonly Account[]>()
  readonly #periodAt: ((now: number) => Period) | undefined
  #period: Period | undefined
  #turning: NodeJS.Timeout | undefined
  #unusableUntil = 0
  readonly #unsubscribe: () => void

  constructor({ database, state, clock, warnAt, perRun, server, period }: LedgerOptions) {
    this.#database = database
    this.#state = state
    this.#clock = clock
    this.warnAt = Math.min(1, ...warnAt)
    this.#calls = callTable(database)
    this.#budgets = budgetTable(database)
    this.#meta = metaTable(database)
    this.#configured = { run: perRun, server }
    this.#perRun = this.#limitAtStart('run')
    this.#periodAt = period && periodsOf(period)
    this.#period = this.#periodAt?.(clock.now())
    const limit = this.#limitAtStart('server')
    this.#server = limit === undefined ? undefined : new Account('server', limit, this.#totals())
    this.#unsubscribe = state.subscribe((event) => this.#watch(event))
    this.#turnLater()
  }

  /** Turns what a killed server left open into `unresolved` rows that keep their hold. Returns how many. */
  recover(): number {
    return this.#calls.markUnresolved(isoTime(this.#clock.now())).length
  }

  /** Tells, as a server begins, what holds beside the agents' own limits; from then on the configuration is as known. */
  announce(): void {
    this.#now()
    const { server_budget, run_limit_usd } = this.#state.read()
    const [server, perRun] = [this.#server, this.#perRun]
    if (!server && perRun === undefined && !server_budget && run_limit_usd === null) return
    const data = {
      server: server
        ? {
            limit_usd: toUsd(server.limit),
            spent_usd: toUsd(server.spentBefore + server.spent),
            period: this.#periodOf(server),
          }
        : null,
      run_limit_usd: perRun === undefined ? null : toUsd(perRun),
    }
    const limits = { run: perRun, server: server?.limit }
    const changed = CONFIGURED.filter((scope) => limits[scope] !== this.#configured[scope])
    const configured = Object.fromEntries(changed.map((scope) => [scope, toUsd(this.#configured[scope]!)]))
    this.#state.record(openedEvent(data, configured), () => {
      for (const scope of CONFIGURED) this.#keep(scope, limits[scope])
    })
  }

  /** Gives an agent its limit. */
  openAccount(agentId: AgentId, limit: Nanodollars): void {
    this.#now()
    this.#budgets.put({
      agent_id: agentId,
      limit_nanos: limit,
      warned_limit_nanos: null,
      exhausted_limit_nanos: null,
      period_starts_at: this.#periodStart ?? null,
    })
    this.#agents.delete(agentId)
  }

  /** The agent's own budget, in this period. Throws CageError `not_found` for an agent without one. */
  balance(agentId: AgentId): Balance {
    this.#now()
    const { limit, spent, held } = this.#agent(agentId)
    return { limit, spent, held }
  }

  /** Every budget that pays for this spender's calls, the agent's own first. */
  balances(spender: Spender): (Balance & { scope: BudgetScope })[] {
    this.#now()
    return this.#accountsOf(spender).map(({ scope, limit, spent, held }) => ({ scope, limit, spent, held }))
  }

  /**
   * Gives a part of an agent's work a limit of its own, for as long as it lasts. `within`: the run, or the part, that it
   * is a part of, whose budgets pay for it as well.
   */
  openPart(runId: RunId, limit: Nanodollars, within: RunId | null): void {
    const account = new Account('part', limit, { spent: 0, spentBefore: 0, held: 0 })
    this.#parts.set(runId, { account, within })
  }

  /** Calls of it that are on their way end as they began. */
  closePart(runId: RunId): void {
    this.#parts.delete(runId)
  }

  /** When the present period began and ends, ISO 8601; null where limits hold for ever. */
  period(): { starts_at: string; ends_at: string } | null {
    this.#now()
    if (!this.#period) return null
    return { starts_at: isoTime(this.#period.startsAt), ends_at: isoTime(this.#period.endsAt) }
  }

  /** The most a new call of this spender could hold now. */
  available(spender: Spender): Nanodollars {
    this.#now()
    return Math.max(0, Math.min(...this.#accountsOf(spender).map(({ available }) => available)))
  }

  /**
   * Holds the most a call can cost, waiting up to two seconds for money that running calls hold.
   * Throws BudgetExceededError when it does not fit even then, BudgetHeldError when the wait was in vain,
   * CageError `database_unusable` when the row cannot be written. Nothing is held when it throws.
   */
  async hold(request: HoldRequest, signal?: AbortSignal): Promise<Hold> {
    const deadline = this.#clock.monotonic() + WAIT_FOR_HELD_MS
    const accounts = this.#accountsOf(request)
    for (;;) {
      const outcome = this.#tryHold(request, accounts)
      if (!(outcome instanceof Account)) return this.#written(outcome, accounts)
      const leftMs = deadline - this.#clock.monotonic()
      if (leftMs <= 0 || signal?.aborted) {
        const { agentId, most: needed } = request
        throw new BudgetHeldError({ budget: outcome.scope, agentId, needed, held: outcome.held })
      }
      await accountChange(accounts, leftMs, signal)
    }
  }

  /** Ends a hold by what the call really cost. Synchronous, and the money counts at once. */
  charge(hold: Hold, charge: Charge): Settled {
    return this.#settle(hold, 'charged', charge)
  }

  /** Ends a hold of a call that cost nothing. */
  release(hold: Hold, end: Omit<Charge, 'cost'> = {}): Settled {
    return this.#settle(hold, 'released', { ...end, cost: 0 })
  }

  /** Sets a new limit; calls that wait ask again at once. `by`: who wanted it. */
  setLimit(agentId: AgentId, limit: Nanodollars, by: string): void {
    this.#now()
    const account = this.#agent(agentId)
    const from = account.limit
    account.setLimit(limit)
    this.#state.record(raisedEvent({ agentId }, from, limit, by), () => this.#save(agentId, account))
  }

  /** The limit of each run; undefined where there is none. */
  get runLimit(): Nanodollars | undefined {
    return this.#perRun
  }

  /** The whole server's budget, in this period; undefined where there is none. */
  serverBalance(): Balance | undefined {
    this.#now()
    if (!this.#server) return undefined
    const { limit, spent, held } = this.#server
    return { limit, spent, held }
  }

  /** Sets the limit of the server, or of every run, as `setLimit` does. Throws CageError `conflict` where there is none. */
  setConfiguredLimit(budget: ConfiguredScope, limit: Nanodollars, by: string): void {
    const from = this.configuredLimit(budget)
    if (budget === 'server') this.#server!.setLimit(limit)
    else {
      this.#perRun = limit
      for (const run of this.#runs.values()) run.setLimit(limit)
    }
    this.#state.record(raisedEvent({ budget }, from, limit, by), () => this.#keep(budget, limit))
  }

  /** Throws CageError `conflict` where there is none: what was spent without a limit is not counted against one. */
  configuredLimit(budget: ConfiguredScope): Nanodollars {
    this.#now()
    const limit = budget === 'server' ? this.#server?.limit : this.#perRun
    if (limit !== undefined) return limit
    const [what, key] = budget === 'server' ? ['the server has', 'server_usd'] : ['runs have', 'per_run_usd']
    throw new CageError('conflict', `${what} no limit that could be changed`, {
      facts: { budget },
      hint: `give it one with budget.${key} in the configuration and start the server again`,
    })
  }

  /**
   * Says what a call that has ended costs after all; the difference becomes a row of its own. Returns that row's id.
   * Throws CageError `not_found`, or `conflict` for a call that is open, that is a correction, or that costs just that.
   */
  correct({ agentId, callId, cost, reason, by }: CorrectionRequest): CallId {
    const now = this.#now()
    const call = this.#endedCall(agentId, callId)
    const difference = cost - this.#calls.costOf(agentId, callId)
    if (difference === 0) throw conflict(call, `costs ${showUsd(toUsd(cost))} already`)
    const id = newCallId()
    const chargedAt = call.ended_at ?? call.started_at
    // Runs of an earlier server have no budget any more.
    const runId = call.run_id !== null && this.#runs.has(call.run_id) ? call.run_id : null
    const accounts = this.#accountsOf({ agentId, runId })
    for (const account of accounts) {
      account.correct(difference, account.scope === 'run' || chargedAt >= (this.#periodStart ?? ''))
    }
    const { run_id, target, model } = call
    const entry = { agent_id: agentId, id, run_id, target, model, corrects: callId, reason }
    const told = { call, id, cost, difference, chargedAt, reason, by, paidBy: paidBy(accounts) }
    this.#state.record(correctedEvent(told), () =>
      this.#calls.insertCorrection({
        ...entry,
        cost_nanos: difference,
        started_at: isoTime(now),
        ended_at: chargedAt,
      }),
    )
    return id
  }

  /**
   * Ends a call that a killed server left open, by what became of it. Throws CageError `not_found`, or `conflict` for a
   * call that is not unresolved.
   */
  resolve({ agentId, callId, cost: given, by }: Resolution): void {
    const now = this.#now()
    const call = this.#writtenCall(agentId, callId)
    if (call.state !== 'unresolved') throw conflict(call, `is ${call.state}, not unresolved`)
    const state = given === null ? 'released' : 'charged'
    const cost = given === undefined ? call.held_nanos : (given ?? 0)
    // A run's budget is younger than the start that made the call unresolved.
    for (const account of this.#accountsOf({ agentId, runId: null })) account.settle(call.held_nanos, cost)
    this.#state.record(
      resolvedEvent({ call, outcome: state, cost, by }),
      () =>
        void this.#calls.resolve({ agent_id: agentId, id: callId, state, cost_nanos: cost, ended_at: isoTime(now) }),
    )
  }

  close(): void {
    clearTimeout(this.#turning)
    this.#unsubscribe()
  }

  /**
   * The hold, or the account that could pay but for what running calls hold. Must not await: two calls must never see
   * the same money.
   */
  #tryHold(request: HoldRequest, accounts: readonly Account[]): Hold | Account {
    const now = this.#now()
    const { agentId, callId, most } = request
    const refusing = accounts.find(({ unspent }) => most > unspent)
    if (refusing) {
      const { scope: budget, limit, spent } = refusing
      const until = budget === 'run' || budget === 'part' ? null : (this.period()?.ends_at ?? null)
      const error = new BudgetExceededError({ budget, agentId, limit, spent, needed: most, until })
      this.#exhaust(agentId, refusing, most)
      throw error
    }
    const full = accounts.find(({ available }) => most > available)
    if (full) return full
    if (this.#clock.monotonic() < this.#unusableUntil) throw unusable()
    for (const account of accounts) account.hold(most)
    this.#open.set(callId, accounts)
    return { ...request, startedAt: isoTime(now) }
  }

  /** The hold, when its row is committed. */
  async #written(hold: Hold, accounts: readonly Account[]): Promise<Hold> {
    const { callId, agentId, runId, kind, target, model, most, startedAt } = hold
    const row = { id: callId, agent_id: agentId, run_id: runId, kind, target, model }
    try {
      await this.#database.together(() => this.#calls.insertHeld({ ...row, held_nanos: most, started_at: startedAt }))
      return hold
    } catch (error) {
      this.#open.delete(callId)
      for (const account of accounts) account.settle(most, 0)
      if (!isStorageFault(error)) throw error
      this.#unusableUntil = this.#clock.monotonic() + UNUSABLE_MS
      throw unusable(error)
    }
  }

  #settle(hold: Hold, state: CallEnd['state'], charge: Charge): Settled {
    const accounts = this.#open.get(hold.callId)
    if (!accounts) throw new Error(`the hold of ${hold.callId} has ended already`)
    const endedAt = isoTime(this.#now())
    this.#open.delete(hold.callId)
    for (const account of accounts) account.settle(hold.most, charge.cost)
    const row: CallEnd = {
      agent_id: hold.agentId,
      id: hold.callId,
      state,
      cost_nanos: charge.cost,
      estimated: charge.estimated ?? false,
      price: charge.price ?? null,
      usage: charge.usage ?? null,
      status: charge.status ?? null,
      code: charge.code ?? null,
      ended_at: endedAt,
    }
    return { cost: charge.cost, paidBy: paidBy(accounts), write: () => void this.#calls.end(row) }
  }

  #accountsOf({ agentId, runId: innermost }: Spender): Account[] {
    const parts: Account[] = []
    let runId = innermost
    for (let part = this.#partOf(runId); part; part = this.#partOf(runId)) {
      parts.push(part.account)
      runId = part.within
    }
    const accounts = [this.#agent(agentId), ...parts]
    if (runId !== null && this.#perRun !== undefined) accounts.push(this.#run(runId, this.#perRun))
    if (this.#server) accounts.push(this.#server)
    return accounts
  }

  #partOf(runId: RunId | null) {
    return runId === null ? undefined : this.#parts.get(runId)
  }

  #agent(agentId: AgentId): Account {
    const known = this.#agents.get(agentId)
    if (known) return known
    const row = this.#budgets.find(agentId)
    if (!row) throw new CageError('not_found', `agent ${agentId} has no budget`, { facts: { agent_id: agentId } })
    const { limit_nanos: limit, warned_limit_nanos, exhausted_limit_nanos, period_starts_at } = row
    const account = new Account('agent', limit, this.#totals(agentId))
    this.#agents.set(agentId, account)
    if (this.#periodStart !== undefined && period_starts_at !== this.#periodStart) {
      this.#tellPeriod(agentId, account)
    } else {
      account.isWarned = warned_limit_nanos === limit
      if (exhausted_limit_nanos === limit) account.exhausted.add(agentId)
    }
    return account
  }

  #run(runId: RunId, limit: Nanodollars): Account {
    const known = this.#runs.get(runId)
    if (known) return known
    const account = new Account('run', limit, { spent: 0, spentBefore: 0, held: 0 }, runId)
    this.#runs.set(runId, account)
    return account
  }

  /** The configuration's word, or the one that came after it. */
  #limitAtStart(scope: ConfiguredScope): Nanodollars | undefined {
    const configured = this.#configured[scope]
    const kept = this.#meta.get(keyOf(scope))
    if (configured === undefined || kept === undefined) return configured
    const { configured_usd, limit_usd } = JSON.parse(kept) as Kept
    return configured_usd === toUsd(configured) && limit_usd !== null ? fromUsd(limit_usd) : configured
  }

  #keep(scope: ConfiguredScope, limit: Nanodollars | undefined): void {
    const usd = (nanos: Nanodollars | undefined) => (nanos === undefined ? null : toUsd(nanos))
    const kept: Kept = { configured_usd: usd(this.#configured[scope]), limit_usd: usd(limit) }
    this.#meta.put(keyOf(scope), JSON.stringify(kept))
  }

  #totals(agentId?: AgentId) {
    return this.#calls.totals({ agentId, since: this.#periodStart })
  }

  #save(agentId: AgentId, { limit, isWarned, exhausted }: Account): void {
    this.#budgets.put({
      agent_id: agentId,
      limit_nanos: limit,
      warned_limit_nanos: isWarned ? limit : null,
      exhausted_limit_nanos: exhausted.has(agentId) ? limit : null,
      period_starts_at: this.#periodStart ?? null,
    })
  }

  /** Wall time in ms, but not before the present period, which was turned to the one it lies in. */
  #now(): number {
    const now = this.#clock.now()
    if (this.#period && this.#periodAt && now >= this.#period.endsAt) {
      this.#period = this.#periodAt(now)
      this.#server?.beginPeriod()
      for (const account of this.#agents.values()) account.beginPeriod()
      for (const [agentId, account] of this.#agents) this.#tellPeriod(agentId, account)
      if (this.#server) this.#tellPeriod(null, this.#server)
      this.#turnLater()
    }
    return Math.max(now, this.#period?.startsAt ?? now)
  }

  get #periodStart(): string | undefined {
    return this.#period && isoTime(this.#period.startsAt)
  }

  /** So that the screen shows a new period also when nobody calls. */
  #turnLater(): void {
    clearTimeout(this.#turning)
    if (!this.#period) return
    const ms = Math.min(LONGEST_TIMER_MS, Math.max(0, this.#period.endsAt - this.#clock.now()))
    this.#turning = setTimeout(() => {
      this.#now()
      this.#turnLater()
    }, ms).unref()
  }

  /** `agentId`: null for the server's own. */
  #tellPeriod(agentId: AgentId | null, account: Account): void {
    const period = this.#periodOf(account)
    if (!period) return
    this.#state.record(periodBeganEvent(agentId, period), () => {
      if (agentId !== null) this.#save(agentId, account)
    })
  }

  #periodOf({ spentBefore }: Account): BudgetPeriod | null {
    const period = this.period()
    return period && { ...period, spent_before_usd: toUsd(spentBefore) }
  }

  /** The row of a call. */
  #writtenCall(agentId: AgentId, callId: CallId): CallRow {
    this.#agent(agentId)
    // Rows that wait for the disk are not what they will be.
    if (this.#state.isBehind) throw unusable()
    const call = this.#calls.get(agentId, callId)
    if (call) return call
    throw new CageError('not_found', `${agentId} made no call "${callId}"`, {
      facts: { agent_id: agentId, call_id: callId },
      hint: `list its calls with "iron-cage budget calls ${agentId}"`,
    })
  }

  #endedCall(agentId: AgentId, callId: CallId): CallRow {
    const call = this.#writtenCall(agentId, callId)
    if (call.kind === 'correction') throw conflict(call, `is a correction; correct ${call.corrects} once more`)
    if (call.state === 'held') throw conflict(call, 'has not ended')
    if (call.state === 'unresolved') throw conflict(call, 'is unresolved: charge or release it')
    return call
  }

  /** A listener, so that the warning follows the call that caused it in the order of events. */
  #watch(event: RuntimeEvent): void {
    const { agent_id: agentId } = event
    if (agentId === null) return
    if (event.type === 'agent.started' && event.data.restart === 0 && this.#period) {
      this.#tellPeriod(agentId, this.#agent(agentId))
    }
    if (!COSTS.has(event.type) || !this.#agents.has(agentId)) return
    const runId = this.#state.read().agents[agentId]?.run_id ?? null
    for (const account of this.#accountsOf({ agentId, runId })) this.#watchThresholds(agentId, account)
  }

  #watchThresholds(agentId: AgentId, account: Account): void {
    const { scope, spent, limit } = account
    if (scope !== 'part' && spent > 0 && spent >= limit * this.warnAt && !account.isWarned) {
      account.isWarned = true
      this.#state.record(warnedEvent(agentId, scope, account, this.warnAt), () => this.#saveOwn(agentId, account))
    }
    if (spent > 0 && spent >= limit) this.#exhaust(agentId, account, null)
  }

  #exhaust(agentId: AgentId, account: Account, needed: Nanodollars | null): void {
    const { scope } = account
    if (scope === 'part' || account.exhausted.has(agentId)) return
    account.exhausted.add(agentId)
    this.#state.record(exhaustedEvent(agentId, scope, account, needed), () => this.#saveOwn(agentId, account))
  }

  #saveOwn(agentId: AgentId, account: Account): void {
    if (account.scope === 'agent') this.#save(agentId, account)
  }
}

const paidBy = (accounts: readonly Account[]): PaidBy => {
  const runId = accounts.find(({ scope }) => scope === 'run')?.runId
  return runId === undefined ? {} : { run_id: runId }
}

const CONFIGURED = ['run', 'server'] as const satisfies ConfiguredScope[]

/** A limit as it was last, and what the configuration said then. */
interface Kept {
  configured_usd: Usd | null
  limit_usd: Usd | null
}

const keyOf = (scope: ConfiguredScope): string => `budget.${scope}`

/** Events after which more has been spent. */
const COSTS: ReadonlySet<RuntimeEvent['type']> = new Set([
  'call.completed',
  'call.failed',
  'service.called',
  'call.corrected',
  'call.resolved',
])

const unusable = (cause?: unknown): CageError =>
  new CageError('database_unusable', 'the ledger cannot be written, so the call was not sent', { cause })

const conflict = ({ id, agent_id }: CallRow, what: string): CageError =>
  new CageError('conflict', `call ${id} ${what}`, {
    facts: { agent_id, call_id: id },
    hint: `look at it with "iron-cage budget calls ${agent_id}"`,
  })
