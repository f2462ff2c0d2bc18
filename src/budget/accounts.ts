/**
 * The accounts: the limit, spent and held amounts of every budget, and which budgets pay for a call.
 *
 * - Every call is paid by its agent's budget and, if configured, by those of its run and of the whole server, and by
 *   those of the parts of work that it belongs to.
 * - The limits of runs and of the server start as configured and can be changed live like an agent's own. A changed
 *   limit applies until the configured value changes.
 * - Money counts in the period in which it was held, as that of leases does: a hold over midnight is charged to the day
 *   before, and takes nothing from the new one. While the server runs, periods only advance, even if the wall clock is
 *   set back.
 * - A limit warns once and is exhausted once, in each period and for each new value.
 */
import { type Clock, isoTime, type Timer } from '../core/clock.ts'
import { CageError } from '../core/errors.ts'
import type { BudgetPeriod, RuntimeEvent } from '../core/events.ts'
import type { AgentId, RunId } from '../core/ids.ts'
import {
  add,
  type BudgetScope,
  type ConfiguredScope,
  fromUsd,
  max,
  min,
  type Nanodollars,
  type PayingScope,
  toUsd,
  UNLIMITED,
  type Usd,
  ZERO_NANOS,
} from '../core/money.ts'
import type { Store } from '../db/store.ts'
import type { BudgetTable } from '../db/tables/budgets.ts'
import { type CallTable, NOTHING_SPENT, type Totals } from '../db/tables/calls.ts'
import type { MetaTable } from '../db/tables/meta.ts'
import type { StateManager } from '../state/state-manager.ts'
import { Account, type Balance } from './account.ts'
import { budgetsOpenedEvent, exhaustedEvent, periodBeganEvent, raisedEvent, warnedEvent } from './budget-events.ts'
import { type Period, type PeriodRule, periodsOf } from './period.ts'
import type { SharedMoney } from './shared-money.ts'

/** Longer timers are split; the maximum of a timer is 24 days. */
const MAX_TIMER_MS = 86_400_000

/** Who spends; `runId` is null for a client without supervision, which no run's budget applies to. */
export interface Spender {
  agentId: AgentId
  runId: RunId | null
  /** The name of the API token of a client without supervision, which may have a shared budget. (Default: none.) */
  tokenName?: string | undefined
}

export interface AccountsOptions {
  store: Store
  state: StateManager
  clock: Clock
  /** Shares of the limit, 0–1, that cause a warning. */
  warnAt: readonly number[]
  /** Limit of each run. (Default: none.) */
  perRun?: Nanodollars | undefined
  /** Limit of all agents together. (Default: none.) */
  server?: Nanodollars | undefined
  /** Makes the limits of agents and of the server daily or monthly; a run's never are. (Default: no periods.) */
  period?: PeriodRule | undefined
  /** How long calls wait for a raise, in ms; null refuses them. (Default: null.) */
  pauseMs?: number | null
  /** Slices of a budget that is shared with other runtimes. (Default: none is.) */
  leases?: SharedMoney | undefined
}

export class Accounts {
  readonly #state: StateManager
  readonly #clock: Clock
  /** Share of the limit, 0–1, that causes the warning. */
  readonly warnAt: number
  readonly #warnShares: readonly number[]
  /** How long calls wait for a raise, in ms; null when they are refused. */
  readonly pauseMs: number | null
  readonly #calls: CallTable
  readonly #budgets: BudgetTable
  readonly #meta: MetaTable
  readonly #agents = new Map<AgentId, Account>()
  /** Runs of this server's lifetime: no run outlives it, and a late call of an ended run still belongs to it. */
  readonly #runs = new Map<RunId, Account>()
  readonly #loading = new Map<AgentId, Promise<void>>()
  /** Parts of an agent's work with a separate limit, by the run id that they use. */
  readonly #parts = new Map<RunId, { account: Account; within: RunId | null }>()
  /** The configured limits. */
  readonly #configured: Readonly<Record<ConfiguredScope, Nanodollars | undefined>>
  #perRun: Nanodollars | undefined
  readonly #server: Account | undefined
  readonly #periodAt: ((now: number) => Period) | undefined
  #period: Period | undefined
  #periodTimer: Timer | undefined
  readonly #leases: SharedMoney | undefined
  readonly #unsubscribe: () => void

  constructor({ store, state, clock, warnAt, perRun, server, period, pauseMs = null, leases }: AccountsOptions) {
    this.pauseMs = pauseMs
    this.#leases = leases
    this.#state = state
    this.#clock = clock
    this.#warnShares = warnAt
    this.warnAt = Math.min(1, ...warnAt)
    this.#calls = store.calls
    this.#budgets = store.budgets
    this.#meta = store.meta
    this.#configured = { run: perRun, server }
    this.#perRun = this.#limitAtStart('run')
    this.#periodAt = period && periodsOf(period)
    this.#period = this.#periodAt?.(clock.now())
    const limit = this.#limitAtStart('server')
    this.#server = limit === undefined ? undefined : new Account('server', limit, this.#totals())
    this.#unsubscribe = state.subscribe((event) => this.#watch(event))
    this.#schedulePeriodEnd()
  }

  /** Records the configured limits at the start of the server; later starts compare with them. */
  announce(): void {
    this.now()
    const { server_budget, run_limit_usd } = this.#state.read()
    const [server, perRun] = [this.#server, this.#perRun]
    if (!server && perRun === undefined && !server_budget && run_limit_usd === null) return
    const data = {
      server: server
        ? {
            limit_usd: toUsd(server.limit),
            spent_usd: toUsd(add(server.spentBefore, server.spent)),
            period: this.#periodOf(server),
          }
        : null,
      run_limit_usd: perRun === undefined ? null : toUsd(perRun),
    }
    const limits = { run: perRun, server: server?.limit }
    const changed = CONFIGURED.filter((scope) => limits[scope] !== this.#configured[scope])
    const configured = Object.fromEntries(changed.map((scope) => [scope, toUsd(this.#configured[scope]!)]))
    this.#state.record(budgetsOpenedEvent(data, configured), () => {
      for (const scope of CONFIGURED) this.#keep(scope, limits[scope])
    })
  }

  /** Sets an agent's first limit. */
  openAccount(agentId: AgentId, limit: Nanodollars): void {
    this.now()
    this.#budgets.put({
      agent_id: agentId,
      limit_nanos: limit,
      warned_limit_nanos: null,
      exhausted_limit_nanos: null,
      period_starts_at: this.#periodStart ?? null,
    })
    this.#agents.delete(agentId)
    this.#agent(agentId)
  }

  /**
   * Sums an agent's spending; undefined if already done since the start. Optional: without it the budget is summed
   * synchronously on first use, which takes longer the more calls there are.
   */
  load(agentId: AgentId): Promise<void> | undefined {
    if (this.#agents.has(agentId)) return undefined
    const loading = this.#loading.get(agentId) ?? this.#load(agentId).finally(() => this.#loading.delete(agentId))
    this.#loading.set(agentId, loading)
    return loading
  }

  async #load(agentId: AgentId): Promise<void> {
    if (!this.#budgets.find(agentId)) return
    const since = this.#periodStart
    const totals = await this.#calls.totalsInTurns({ agentId, since })
    // Summed synchronously in the meantime, or a new period began.
    if (!this.#agents.has(agentId) && since === this.#periodStart) this.#agent(agentId, totals)
  }

  /** Returns the agent's own budget in this period. Throws CageError `not_found` for an agent without one. */
  balance(agentId: AgentId): Balance {
    this.now()
    const { limit, spent, held } = this.#agent(agentId)
    return { limit, spent, held }
  }

  /** Returns every budget that pays for this spender's calls, the agent's own first. */
  balances(spender: Spender): (Balance & { scope: BudgetScope })[] {
    this.now()
    return this.payersOf(spender).map(({ scope, limit, spent, held }) => ({ scope, limit, spent, held }))
  }

  /**
   * Gives a part of an agent's work a separate limit until it is closed. `within`: the run, or the part, that it
   * belongs to, whose budgets also pay for it.
   */
  openPart(runId: RunId, limit: Nanodollars, within: RunId | null): void {
    const account = new Account('part', limit, NOTHING_SPENT)
    this.#parts.set(runId, { account, within })
  }

  /** Calls in progress are unaffected. */
  closePart(runId: RunId): void {
    this.#parts.delete(runId)
  }

  /** Returns when the current period began and ends, ISO 8601; null without periods. */
  period(): { starts_at: string; ends_at: string } | null {
    this.now()
    if (!this.#period) return null
    return { starts_at: isoTime(this.#period.startsAt), ends_at: isoTime(this.#period.endsAt) }
  }

  /** Returns the most that a new call of this spender can hold now. */
  available(spender: Spender): Nanodollars {
    this.now()
    const shared = this.#leases?.available(spender) ?? UNLIMITED
    return max(ZERO_NANOS, min(shared, ...this.payersOf(spender).map(({ available }) => available)))
  }

  /** Sets a new limit; waiting calls retry at once. `by`: who changed it. */
  setLimit(agentId: AgentId, limit: Nanodollars, by: string): void {
    this.now()
    const account = this.#agent(agentId)
    const from = account.limit
    account.setLimit(limit)
    this.#state.record(raisedEvent({ agentId }, from, limit, by), () => this.#save(agentId, account))
  }

  /** The limit of each run, if any. */
  get runLimit(): Nanodollars | undefined {
    return this.#perRun
  }

  /** Returns the whole server's budget in this period, if any. */
  serverBalance(): Balance | undefined {
    this.now()
    if (!this.#server) return undefined
    const { limit, spent, held } = this.#server
    return { limit, spent, held }
  }

  /**
   * Sets the limit of the server or of every run, like `setLimit`. Throws CageError `conflict` without such a limit.
   */
  setConfiguredLimit(budget: ConfiguredScope, limit: Nanodollars, by: string): void {
    const from = this.configuredLimit(budget)
    if (budget === 'server') this.#server!.setLimit(limit)
    else {
      this.#perRun = limit
      for (const run of this.#runs.values()) run.setLimit(limit)
    }
    this.#state.record(raisedEvent({ budget }, from, limit, by), () => this.#keep(budget, limit))
  }

  /** Throws CageError `conflict` without such a limit: earlier spending would not count against a new one. */
  configuredLimit(budget: ConfiguredScope): Nanodollars {
    this.now()
    const limit = budget === 'server' ? this.#server?.limit : this.#perRun
    if (limit !== undefined) return limit
    const [what, key] = budget === 'server' ? ['the server has', 'server_usd'] : ['runs have', 'per_run_usd']
    throw new CageError('conflict', `${what} no limit to change`, {
      facts: { budget },
      hint: `set budget.${key} in the configuration and restart the server`,
    })
  }

  /** Returns the budgets that must all accept this spender's call, the agent's own first. */
  payersOf({ agentId, runId: innermost }: Spender): Account[] {
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

  /** True for a run with a budget here. */
  hasRun(runId: RunId): boolean {
    return this.#runs.has(runId)
  }

  /** Returns true if a hold of that time counts in the current period of a budget. */
  countsNow({ scope }: Pick<Account<PayingScope>, 'scope'>, heldAt: string): boolean {
    return !(scope === 'agent' || scope === 'server') || this.isOfThisPeriod(heldAt)
  }

  /** Of the limits that renew; true without any. */
  isOfThisPeriod(heldAt: string): boolean {
    return heldAt >= (this.#periodStart ?? '')
  }

  /**
   * Returns true for the first call of an agent that is larger than a budget of which nothing is spent. Never where
   * calls wait for a raise, so that a person is notified.
   */
  isFirstOversized(agentId: AgentId, { spent, limit, oversized }: Account): boolean {
    if (limit === 0 || spent > 0 || this.pauseMs !== null || oversized.has(agentId)) return false
    oversized.add(agentId)
    return true
  }

  /** Notifies an agent, once, that a budget is exhausted. `needed`: cost of the refused call; null when all is spent. */
  exhaust(agentId: AgentId, account: Account, needed: Nanodollars | null): void {
    const { scope } = account
    if (scope === 'part' || account.exhausted.has(agentId)) return
    account.exhausted.add(agentId)
    this.#state.record(exhaustedEvent(agentId, scope, account, needed, this.pauseMs), () =>
      this.#saveOwn(agentId, account),
    )
  }

  /** Returns wall time in ms, never before the current period; advances the period if it has ended. */
  now(): number {
    const now = this.#clock.now()
    if (this.#period && this.#periodAt && now >= this.#period.endsAt) {
      this.#period = this.#periodAt(now)
      this.#server?.beginPeriod()
      for (const account of this.#agents.values()) account.beginPeriod()
      for (const [agentId, account] of this.#agents) this.#recordPeriod(agentId, account)
      if (this.#server) this.#recordPeriod(null, this.#server)
      this.#schedulePeriodEnd()
    }
    return Math.max(now, this.#period?.startsAt ?? now)
  }

  close(): void {
    this.#periodTimer?.cancel()
    this.#unsubscribe()
  }

  #partOf(runId: RunId | null) {
    return runId === null ? undefined : this.#parts.get(runId)
  }

  #agent(agentId: AgentId, totals?: Totals): Account {
    const known = this.#agents.get(agentId)
    if (known) return known
    const row = this.#budgets.find(agentId)
    if (!row) throw new CageError('not_found', `agent ${agentId} has no budget`, { facts: { agent_id: agentId } })
    const { limit_nanos: limit, warned_limit_nanos, exhausted_limit_nanos, period_starts_at } = row
    const account = new Account('agent', limit, totals ?? this.#totals(agentId))
    this.#agents.set(agentId, account)
    if (this.#periodStart !== undefined && period_starts_at !== this.#periodStart) {
      this.#recordPeriod(agentId, account)
    } else {
      // Shares reached earlier were warned about earlier.
      if (warned_limit_nanos === limit) account.warnedShare = this.#shareReached(account)
      if (exhausted_limit_nanos === limit) account.exhausted.add(agentId)
    }
    return account
  }

  #run(runId: RunId, limit: Nanodollars): Account {
    const known = this.#runs.get(runId)
    if (known) return known
    const account = new Account('run', limit, NOTHING_SPENT, runId)
    this.#runs.set(runId, account)
    return account
  }

  /** Returns the configured limit, or the one that it was changed to. */
  #limitAtStart(scope: ConfiguredScope): Nanodollars | undefined {
    const configured = this.#configured[scope]
    const kept = this.#meta.get(keyOf(scope))
    if (configured === undefined || kept === undefined) return configured
    const { configured_usd, limit_usd } = JSON.parse(kept) as StoredLimit
    return configured_usd === toUsd(configured) && limit_usd !== null ? fromUsd(limit_usd) : configured
  }

  #keep(scope: ConfiguredScope, limit: Nanodollars | undefined): void {
    const usd = (nanos: Nanodollars | undefined) => (nanos === undefined ? null : toUsd(nanos))
    const kept: StoredLimit = { configured_usd: usd(this.#configured[scope]), limit_usd: usd(limit) }
    this.#meta.put(keyOf(scope), JSON.stringify(kept))
  }

  #totals(agentId?: AgentId) {
    return this.#calls.totals({ agentId, since: this.#periodStart })
  }

  #save(agentId: AgentId, { limit, warnedShare, exhausted }: Account): void {
    this.#budgets.put({
      agent_id: agentId,
      limit_nanos: limit,
      warned_limit_nanos: warnedShare > 0 ? limit : null,
      exhausted_limit_nanos: exhausted.has(agentId) ? limit : null,
      period_starts_at: this.#periodStart ?? null,
    })
  }

  get #periodStart(): string | undefined {
    return this.#period && isoTime(this.#period.startsAt)
  }

  /** Keeps the dashboard's period current without calls. */
  #schedulePeriodEnd(): void {
    this.#periodTimer?.cancel()
    if (!this.#period) return
    const ms = Math.min(MAX_TIMER_MS, Math.max(0, this.#period.endsAt - this.#clock.now()))
    this.#periodTimer = this.#clock
      .after(ms, () => {
        this.now()
        this.#schedulePeriodEnd()
      })
      .unref()
  }

  /** `agentId`: null for the server's own. */
  #recordPeriod(agentId: AgentId | null, account: Account): void {
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

  /** A listener, so that the warning comes after its call in the order of events. */
  #watch(event: RuntimeEvent): void {
    const { agent_id: agentId } = event
    if (agentId === null) return
    if (event.type === 'agent.started' && event.data.restart === 0 && this.#period) {
      this.#recordPeriod(agentId, this.#agent(agentId))
    }
    if (!COSTS.has(event.type) || !this.#agents.has(agentId)) return
    const runId = this.#state.read().agents[agentId]?.run_id ?? null
    for (const account of this.payersOf({ agentId, runId })) this.#watchThresholds(agentId, account)
  }

  #watchThresholds(agentId: AgentId, account: Account): void {
    const { scope, spent, limit } = account
    const share = this.#shareReached(account)
    if (scope !== 'part' && share > account.warnedShare) {
      account.warnedShare = share
      this.#state.record(warnedEvent(agentId, scope, account, share), () => this.#saveOwn(agentId, account))
    }
    if (spent > 0 && spent >= limit) this.exhaust(agentId, account, null)
  }

  /** Returns the highest warning share that was reached; 0 for none. */
  #shareReached({ spent, limit }: Account): number {
    return spent > 0 ? Math.max(0, ...this.#warnShares.filter((share) => spent >= limit * share)) : 0
  }

  #saveOwn(agentId: AgentId, account: Account): void {
    if (account.scope === 'agent') this.#save(agentId, account)
  }
}

const CONFIGURED = ['run', 'server'] as const satisfies ConfiguredScope[]

/** The last limit, and the configured one at that time. */
interface StoredLimit {
  configured_usd: Usd | null
  limit_usd: Usd | null
}

const keyOf = (scope: ConfiguredScope): string => `budget.${scope}`

/** Events that add to the spending. */
const COSTS: ReadonlySet<RuntimeEvent['type']> = new Set([
  'call.completed',
  'call.failed',
  'service.called',
  'call.corrected',
  'call.resolved',
])
