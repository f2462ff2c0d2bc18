/**
 * The ledger: what each call may cost at most, and what it did cost. All budgets that pay for a call (`accounts.ts`)
 * must pass it.
 *
 * The rules are:
 * - spent + held ≤ limit at every instant, in each budget. What decides about money is synchronous: `hold` looks at all
 *   budgets and holds in all of them without an await between. A call waits only after that, and asks again from the
 *   start.
 * - A hold counts from the moment it is decided, and its row is committed before anything is sent. No row, no call: what
 *   cannot be committed is let go again. Holds of one turn of the event loop share a commit.
 * - Every hold ends exactly once, by `charge` or `release`; ending it twice throws. What a killed server left open is
 *   unresolved and stays held until a person says what became of it.
 * - Ending a hold records itself: memory is charged at once, and the row is committed with the event that tells of it.
 * - A charge is posted in full, also above its hold: the money is gone.
 * - What has ended is never edited: a correction is a row of its own and counts when its call did.
 * - No row is dated before the period it counts in.
 */
import { type Clock, isoTime } from '../clock.ts'
import type { Config } from '../config/schema.ts'
import type { CallEnd, CallKind, CallRow, CallTable } from '../db/calls.ts'
import { isStorageFault } from '../db/storage-fault.ts'
import type { Store } from '../db/store.ts'
import { BudgetExceededError, BudgetHeldError, CageError } from '../errors.ts'
import type { NewEvent } from '../events.ts'
import { type AgentId, type CallId, newCallId } from '../ids.ts'
import { fromUsd, type Nanodollars, showUsd, toUsd, type Usd } from '../money.ts'
import type { StateManager } from '../state/state-manager.ts'
import { type Account, accountChange } from './account.ts'
import { Accounts, type AccountsOptions, type Spender } from './accounts.ts'
import { correctedEvent, type PaidBy, resolvedEvent } from './budget-events.ts'

/** How long holds are refused without asking a database that could not be written, in ms: each try blocks a while. */
const UNUSABLE_MS = 250
/** How long a call may wait for money that running calls hold, in ms. */
const WAIT_FOR_HELD_MS = 2_000

export interface HoldRequest extends Spender {
  callId: CallId
  kind: CallKind
  /** Provider or service. */
  target: string
  model: string | null
  /** The most this call can cost. */
  maxCost: Nanodollars
}

/** Money set aside for one running call. */
export interface Hold extends HoldRequest {
  readonly startedAt: string
  /** Which run's budget pays too, for the event of its end. */
  readonly paidBy: PaidBy
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

/** The ledger as the configuration wants it. */
export function openLedger(
  budget: Config['budget'],
  parts: Pick<AccountsOptions, 'store' | 'state' | 'clock'>,
): Ledger {
  const { warn_at: warnAt, per_run_usd, server_usd, period } = budget
  const limit = (usd: Usd | undefined) => (usd === undefined ? undefined : fromUsd(usd))
  return new Ledger({ ...parts, warnAt, perRun: limit(per_run_usd), server: limit(server_usd), period })
}

export class Ledger {
  /** The budgets that pay. */
  readonly accounts: Accounts
  readonly #store: Store
  readonly #state: StateManager
  readonly #clock: Clock
  readonly #calls: CallTable
  /** What each open hold counts against. */
  readonly #open = new Map<CallId, readonly Account[]>()
  #unusableUntil = 0

  constructor(options: AccountsOptions) {
    const { store, state, clock } = options
    this.accounts = new Accounts(options)
    this.#store = store
    this.#state = state
    this.#clock = clock
    this.#calls = store.calls
  }

  /** As a server begins: what a killed one left open is unresolved, and the limits are announced. */
  begin(): void {
    this.recover()
    this.accounts.announce()
  }

  /** Turns what a killed server left open into `unresolved` rows that keep their hold. Returns how many. */
  recover(): number {
    return this.#calls.markUnresolved(isoTime(this.#clock.now())).length
  }

  /**
   * Holds the most a call can cost, waiting up to two seconds for money that running calls hold.
   * Throws BudgetExceededError when it does not fit even then, BudgetHeldError when the wait was in vain,
   * CageError `database_unusable` when the row cannot be written. Nothing is held when it throws.
   */
  async hold(request: HoldRequest, signal?: AbortSignal): Promise<Hold> {
    const loading = this.accounts.load(request.agentId)
    if (loading) await loading
    const deadline = this.#clock.monotonic() + WAIT_FOR_HELD_MS
    const payers = this.accounts.payersOf(request)
    for (;;) {
      // No await from here to `#take`: two calls must never see the same money.
      const full = this.#fullAccount(request, payers)
      if (!full) return this.#written(this.#take(request, payers), payers)
      const leftMs = deadline - this.#clock.monotonic()
      if (leftMs <= 0 || signal?.aborted) {
        const { agentId, maxCost: needed } = request
        throw new BudgetHeldError({ budget: full.scope, agentId, needed, held: full.held })
      }
      await accountChange(payers, this.#clock, leftMs, signal)
    }
  }

  /**
   * Ends a hold by what the call really cost, and records it: the money counts at once, the row is committed with `event`
   * and with what `alongside` writes. Resolves when that was tried, as `StateManager.recordBatched`; throws for a hold that
   * has ended already.
   */
  charge(hold: Hold, charge: Charge, event: NewEvent, alongside?: () => void): Promise<void> {
    return this.#settle(hold, 'charged', charge, event, alongside)
  }

  /** Ends a hold of a call that cost nothing, in the same way. */
  release(hold: Hold, end: Omit<Charge, 'cost'>, event: NewEvent, alongside?: () => void): Promise<void> {
    return this.#settle(hold, 'released', { ...end, cost: 0 }, event, alongside)
  }

  /**
   * Says what a call that has ended costs after all; the difference becomes a row of its own. Returns that row's id.
   * Throws CageError `not_found`, or `conflict` for a call that is open, that is a correction, or that costs just that.
   */
  correct({ agentId, callId, cost, reason, by }: CorrectionRequest): CallId {
    const now = this.accounts.now()
    const call = this.#endedCall(agentId, callId)
    const difference = cost - this.#calls.costOf(agentId, callId)
    if (difference === 0) throw conflict(call, `costs ${showUsd(toUsd(cost))} already`)
    const id = newCallId()
    const chargedAt = call.ended_at ?? call.started_at
    // Runs of an earlier server have no budget any more.
    const runId = call.run_id !== null && this.accounts.hasRun(call.run_id) ? call.run_id : null
    const payers = this.accounts.payersOf({ agentId, runId })
    for (const account of payers) account.correct(difference, this.accounts.countsNow(account, chargedAt))
    const { run_id, target, model } = call
    const entry = { agent_id: agentId, id, run_id, target, model, corrects: callId, reason }
    const told = { call, id, cost, difference, chargedAt, reason, by, paidBy: paidBy(payers) }
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
    const now = this.accounts.now()
    const call = this.#writtenCall(agentId, callId)
    if (call.state !== 'unresolved') throw conflict(call, `is ${call.state}, not unresolved`)
    const state = given === null ? 'released' : 'charged'
    const cost = given === undefined ? call.held_nanos : (given ?? 0)
    // A run's budget is younger than the start that made the call unresolved.
    for (const account of this.accounts.payersOf({ agentId, runId: null })) account.settle(call.held_nanos, cost)
    this.#state.record(
      resolvedEvent({ call, outcome: state, cost, by }),
      () =>
        void this.#calls.resolve({ agent_id: agentId, id: callId, state, cost_nanos: cost, ended_at: isoTime(now) }),
    )
  }

  close(): void {
    this.accounts.close()
  }

  /**
   * The first account that could pay but for what running calls hold; undefined when all can. Throws
   * BudgetExceededError where one cannot, whatever becomes of the calls that run.
   */
  #fullAccount({ agentId, maxCost }: HoldRequest, payers: readonly Account[]): Account | undefined {
    this.accounts.now()
    const refusing = payers.find(({ unspent }) => maxCost > unspent)
    if (refusing) {
      const { scope: budget, limit, spent } = refusing
      const until = budget === 'run' || budget === 'part' ? null : (this.accounts.period()?.ends_at ?? null)
      const error = new BudgetExceededError({ budget, agentId, limit, spent, needed: maxCost, until })
      this.accounts.exhaust(agentId, refusing, maxCost)
      throw error
    }
    return payers.find(({ available }) => maxCost > available)
  }

  /** Holds in all of them. */
  #take(request: HoldRequest, payers: readonly Account[]): Hold {
    if (this.#clock.monotonic() < this.#unusableUntil) throw unusable()
    for (const account of payers) account.hold(request.maxCost)
    this.#open.set(request.callId, payers)
    return { ...request, startedAt: isoTime(this.accounts.now()), paidBy: paidBy(payers) }
  }

  /** The hold, when its row is committed. */
  async #written(hold: Hold, payers: readonly Account[]): Promise<Hold> {
    const { callId, agentId, runId, kind, target, model, maxCost, startedAt } = hold
    const row = { id: callId, agent_id: agentId, run_id: runId, kind, target, model }
    try {
      await new Promise<void>((resolve, reject) =>
        this.#store.groupCommit(
          () => this.#calls.insertHeld({ ...row, held_nanos: maxCost, started_at: startedAt }),
          (error) => (error === undefined ? resolve() : reject(error)),
        ),
      )
      return hold
    } catch (error) {
      this.#open.delete(callId)
      for (const account of payers) account.settle(maxCost, 0)
      if (!isStorageFault(error)) throw error
      this.#unusableUntil = this.#clock.monotonic() + UNUSABLE_MS
      throw unusable(error)
    }
  }

  #settle(hold: Hold, state: CallEnd['state'], charge: Charge, event: NewEvent, alongside?: () => void): Promise<void> {
    const payers = this.#open.get(hold.callId)
    if (!payers) throw new Error(`the hold of ${hold.callId} has ended already`)
    const endedAt = isoTime(this.accounts.now())
    this.#open.delete(hold.callId)
    for (const account of payers) account.settle(hold.maxCost, charge.cost)
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
    return this.#state.recordBatched(event, () => {
      this.#calls.end(row)
      alongside?.()
    })
  }

  /** The row of a call. */
  #writtenCall(agentId: AgentId, callId: CallId): CallRow {
    this.accounts.balance(agentId)
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
}

const paidBy = (payers: readonly Account[]): PaidBy => {
  const runId = payers.find(({ scope }) => scope === 'run')?.runId
  return runId === undefined ? {} : { run_id: runId }
}

const unusable = (cause?: unknown): CageError =>
  new CageError('database_unusable', 'the ledger cannot be written, so the call was not sent', { cause })

const conflict = ({ id, agent_id }: CallRow, what: string): CageError =>
  new CageError('conflict', `call ${id} ${what}`, {
    facts: { agent_id, call_id: id },
    hint: `look at it with "iron-cage budget calls ${agent_id}"`,
  })
