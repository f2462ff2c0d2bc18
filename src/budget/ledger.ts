/**
 * The ledger: how much each agent may spend, has spent, and holds for calls that run.
 *
 * The rules are:
 * - spent + held ≤ limit at every instant. What decides about money is synchronous: `#tryHold` looks and holds without
 *   an await between. A call waits only after that, and asks again from the start.
 * - A hold's row is committed before it counts, and before anything is sent. No row, no call.
 * - Every hold ends exactly once, by `charge` or `release`; ending it twice throws.
 * - Memory is charged at once; the row follows with the event that tells of it, in one transaction (`Settled.write`).
 * - A charge is posted in full, also above its hold: the money is gone.
 */
import { type Clock, isoTime } from '../clock.ts'
import { type BudgetTable, budgetTable } from '../db/budgets.ts'
import { type CallEnd, type CallKind, type CallTable, callTable } from '../db/calls.ts'
import { type Database, isStorageFault } from '../db/database.ts'
import { BudgetExceededError, BudgetHeldError, CageError } from '../errors.ts'
import type { RuntimeEvent } from '../events.ts'
import type { AgentId, CallId, RunId } from '../ids.ts'
import { type Nanodollars, showUsd, suggestedIncrease, toUsd } from '../money.ts'
import type { StateManager } from '../state/state-manager.ts'

/** How long holds are refused without asking a database that could not be written, in ms: each try blocks a while. */
const UNUSABLE_MS = 250
/** How long a call may wait for money that running calls hold, in ms. */
const WAIT_FOR_HELD_MS = 2_000

export interface HoldRequest {
  callId: CallId
  agentId: AgentId
  runId: RunId | null
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
  write: () => void
}

export interface Balance {
  limit: Nanodollars
  spent: Nanodollars
  held: Nanodollars
}

interface Account extends Balance {
  /** The limits for which the warning and the end were told, so that each is told once a limit. */
  warnedLimit: Nanodollars | null
  exhaustedLimit: Nanodollars | null
  /** Calls that wait for a change of the balance. */
  waiting: Set<() => void>
}

export interface LedgerOptions {
  database: Database
  state: StateManager
  clock: Clock
  /** Shares of the limit, 0–1, at which to warn. */
  warnAt: readonly number[]
}

export class Ledger {
  readonly #state: StateManager
  readonly #clock: Clock
  readonly #warnAt: number
  readonly #calls: CallTable
  readonly #budgets: BudgetTable
  readonly #accounts = new Map<AgentId, Account>()
  readonly #open = new Set<CallId>()
  #unusableUntil = 0

  constructor({ database, state, clock, warnAt }: LedgerOptions) {
    this.#state = state
    this.#clock = clock
    this.#warnAt = Math.min(1, ...warnAt)
    this.#calls = callTable(database)
    this.#budgets = budgetTable(database)
    state.subscribe((event) => this.#watchThresholds(event))
  }

  /** Turns what a killed server left open into `unresolved` rows that keep their hold. Returns how many. */
  recover(): number {
    return this.#calls.markUnresolved(isoTime(this.#clock.now())).length
  }

  /** Gives an agent its limit. */
  openAccount(agentId: AgentId, limit: Nanodollars): void {
    this.#budgets.put({ agent_id: agentId, limit_nanos: limit, warned_limit_nanos: null, exhausted_limit_nanos: null })
    this.#accounts.delete(agentId)
  }

  /** Throws CageError `not_found` for an agent without a budget. */
  balance(agentId: AgentId): Balance {
    const { limit, spent, held } = this.#account(agentId)
    return { limit, spent, held }
  }

  /**
   * Holds the most a call can cost, waiting up to two seconds for money that running calls hold.
   * Throws BudgetExceededError when it does not fit even then, BudgetHeldError when the wait was in vain,
   * CageError `database_unusable` when the row cannot be written. Nothing is held when it throws.
   */
  async hold(request: HoldRequest, signal?: AbortSignal): Promise<Hold> {
    const deadline = this.#clock.monotonic() + WAIT_FOR_HELD_MS
    for (;;) {
      const hold = this.#tryHold(request)
      if (hold) return hold
      const account = this.#account(request.agentId)
      const leftMs = deadline - this.#clock.monotonic()
      if (leftMs <= 0 || signal?.aborted) {
        throw new BudgetHeldError({ agentId: request.agentId, needed: request.most, held: account.held })
      }
      await balanceChange(account, leftMs, signal)
    }
  }

  /** The most a new call of this agent could hold now. */
  available(agentId: AgentId): Nanodollars {
    const { limit, spent, held } = this.#account(agentId)
    return Math.max(0, limit - spent - held)
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
    const account = this.#account(agentId)
    const from = account.limit
    account.limit = limit
    account.warnedLimit = null
    account.exhaustedLimit = null
    this.#state.record(
      {
        type: 'budget.raised',
        level: 'INFO',
        agent_id: agentId,
        message: `Budget ${limit >= from ? 'raised' : 'lowered'} from ${showUsd(toUsd(from))} to ${showUsd(toUsd(limit))} by ${by}`,
        data: { from_usd: toUsd(from), limit_usd: toUsd(limit), by },
      },
      () => this.#save(agentId, account),
    )
    wake(account)
  }

  /** Must not await: two calls must never see the same money. */
  #tryHold(request: HoldRequest): Hold | undefined {
    const account = this.#account(request.agentId)
    const { limit, spent, held } = account
    if (request.most > limit - spent) {
      const error = new BudgetExceededError({ agentId: request.agentId, limit, spent, needed: request.most })
      this.#exhaust(request.agentId, account, request.most)
      throw error
    }
    if (request.most > limit - spent - held) return undefined
    const startedAt = isoTime(this.#clock.now())
    this.#insert(request, startedAt)
    account.held += request.most
    this.#open.add(request.callId)
    return { ...request, startedAt }
  }

  #insert({ callId, agentId, runId, kind, target, model, most }: HoldRequest, startedAt: string): void {
    if (this.#clock.monotonic() < this.#unusableUntil) throw unusable()
    try {
      this.#calls.insertHeld({
        id: callId,
        agent_id: agentId,
        run_id: runId,
        kind,
        target,
        model,
        held_nanos: most,
        started_at: startedAt,
      })
    } catch (error) {
      if (!isStorageFault(error)) throw error
      this.#unusableUntil = this.#clock.monotonic() + UNUSABLE_MS
      throw unusable(error)
    }
  }

  #settle(hold: Hold, state: CallEnd['state'], charge: Charge): Settled {
    if (!this.#open.delete(hold.callId)) throw new Error(`the hold of ${hold.callId} has ended already`)
    const account = this.#account(hold.agentId)
    account.held -= hold.most
    account.spent += charge.cost
    wake(account)
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
      ended_at: isoTime(this.#clock.now()),
    }
    return { cost: charge.cost, write: () => void this.#calls.end(row) }
  }

  #account(agentId: AgentId): Account {
    const known = this.#accounts.get(agentId)
    if (known) return known
    const row = this.#budgets.find(agentId)
    if (!row) throw new CageError('not_found', `agent ${agentId} has no budget`, { facts: { agent_id: agentId } })
    const account: Account = {
      limit: row.limit_nanos,
      ...this.#calls.totals(agentId),
      warnedLimit: row.warned_limit_nanos,
      exhaustedLimit: row.exhausted_limit_nanos,
      waiting: new Set(),
    }
    this.#accounts.set(agentId, account)
    return account
  }

  #save(agentId: AgentId, account: Account): void {
    this.#budgets.put({
      agent_id: agentId,
      limit_nanos: account.limit,
      warned_limit_nanos: account.warnedLimit,
      exhausted_limit_nanos: account.exhaustedLimit,
    })
  }

  /** A listener, so that the warning follows the call that caused it in the order of events. */
  #watchThresholds(event: RuntimeEvent): void {
    if (event.type !== 'call.completed' && event.type !== 'call.failed' && event.type !== 'service.called') return
    const account = event.agent_id ? this.#accounts.get(event.agent_id) : undefined
    if (!account || !event.agent_id) return
    const { spent, limit } = account
    if (spent > 0 && spent >= limit * this.#warnAt && account.warnedLimit !== limit) this.#warn(event.agent_id, account)
    if (spent > 0 && spent >= limit) this.#exhaust(event.agent_id, account, null)
  }

  #warn(agentId: AgentId, account: Account): void {
    const { spent, limit } = account
    const usedPercent = limit > 0 ? (spent / limit) * 100 : 100
    account.warnedLimit = limit
    this.#state.record(
      {
        type: 'budget.warned',
        level: 'WARN',
        agent_id: agentId,
        message: `Budget at ${usedPercent.toFixed(1)} %: ${showUsd(toUsd(spent))} / ${showUsd(toUsd(limit))}; the agent stops at 100 %`,
        data: {
          spent_usd: toUsd(spent),
          limit_usd: toUsd(limit),
          threshold: this.#warnAt,
          used_percent: usedPercent,
          suggested_increase_usd: toUsd(suggestedIncrease(limit)),
        },
      },
      () => this.#save(agentId, account),
    )
  }

  #exhaust(agentId: AgentId, account: Account, needed: Nanodollars | null): void {
    if (account.exhaustedLimit === account.limit) return
    const { spent, limit } = account
    account.exhaustedLimit = limit
    const what = needed === null ? 'is spent' : `cannot pay a call of up to ${showUsd(toUsd(needed))}`
    this.#state.record(
      {
        type: 'budget.exhausted',
        level: 'CRIT',
        agent_id: agentId,
        message: `Budget ${what}: ${showUsd(toUsd(spent))} / ${showUsd(toUsd(limit))}`,
        data: { spent_usd: toUsd(spent), limit_usd: toUsd(limit), needed_usd: needed === null ? null : toUsd(needed) },
      },
      () => this.#save(agentId, account),
    )
  }
}

const unusable = (cause?: unknown): CageError =>
  new CageError('database_unusable', 'the ledger cannot be written, so the call was not sent', { cause })

function wake(account: Account): void {
  const waiting = [...account.waiting]
  account.waiting.clear()
  for (const resume of waiting) resume()
}

/** Resolves when the balance changes, after `ms`, or when `signal` fires. */
function balanceChange(account: Account, ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      account.waiting.delete(done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal?.addEventListener('abort', done, { once: true })
    account.waiting.add(done)
  })
}
