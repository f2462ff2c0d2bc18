/**
 * The ledger: the maximum and the actual cost of each call. All budgets that pay for a call (`accounts.ts`) must accept
 * it.
 *
 * The rules are:
 * - spent + held ≤ limit at every instant, in each budget. All decisions about money are synchronous: `hold` checks all
 *   budgets and holds in all of them without an await in between. A call waits only after that, and then starts
 *   over.
 * - A hold counts from its decision, and its row is committed before anything is sent. No row, no call: a hold that
 *   cannot be committed is released. Holds of one turn of the event loop share a commit.
 * - Every hold ends exactly once, by `charge` or `release`; ending it twice throws. Holds left open by a killed server
 *   are unresolved and stay held until a person resolves them.
 * - Ending a hold records itself: memory is charged at once, and the row is committed with its event.
 * - A charge is posted in full, even above its hold: the money is spent.
 * - Ended calls are never edited: a correction is a separate row and counts when its call did.
 * - Money counts in the period of its hold, whenever the call ends; no row is dated before the period it counts in.
 */

import type { Config } from '../config/schema.ts'
import { type Clock, isoTime } from '../core/clock.ts'
import { BudgetExceededError, BudgetHeldError, CageError } from '../core/errors.ts'
import type { NewEvent } from '../core/events.ts'
import { type AgentId, type CallId, newCallId } from '../core/ids.ts'
import {
  fromUsd,
  type Nanodollars,
  type PayingScope,
  showUsd,
  subtract,
  toUsd,
  type Usd,
  ZERO_NANOS,
} from '../core/money.ts'
import { isStorageFault } from '../db/storage-fault.ts'
import type { Store } from '../db/store.ts'
import type { CallEnd, CallKind, CallRow, CallTable } from '../db/tables/calls.ts'
import { currentUnit } from '../state/figures-text.ts'
import type { StateManager } from '../state/state-manager.ts'
import { type Account, accountChange } from './account.ts'
import { Accounts, type AccountsOptions, type Spender } from './accounts.ts'
import { correctedEvent, type PaidBy, resolvedEvent } from './budget-events.ts'
import type { LentMoney, SharedMoney } from './shared-money.ts'

/** How long holds are refused after a failed write without another attempt, in ms: each attempt blocks a while. */
const UNUSABLE_MS = 250
/** Maximum wait of a call for money held by running calls, in ms. */
const WAIT_FOR_HELD_MS = 2_000

export interface HoldRequest extends Spender {
  callId: CallId
  kind: CallKind
  /** Provider or service. */
  target: string
  model: string | null
  /** The maximum cost of this call. */
  maxCost: Nanodollars
  /** Most of it is for tools that the provider runs, which the agent can leave out. (Default: false.) */
  isForTools?: boolean
}

/** Money set aside for one running call. */
export interface Hold extends HoldRequest {
  readonly startedAt: string
  /** The run whose budget also pays, for the final event. */
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

/** A corrected cost. */
export interface CorrectionRequest {
  agentId: AgentId
  callId: CallId
  /** The new total, not the difference. */
  cost: Nanodollars
  reason: string
  /** Who corrects it. */
  by: string
}

/** The outcome of a call that a killed server left open. */
export interface Resolution {
  agentId: AgentId
  callId: CallId
  /** Null: released, it cost nothing; undefined: it cost the held amount. */
  cost: Nanodollars | null | undefined
  by: string
}

/** Opens the configured ledger. */
export function openLedger(
  budget: Config['budget'],
  parts: Pick<AccountsOptions, 'store' | 'state' | 'clock' | 'leases'>,
): Ledger {
  const { warn_at: warnAt, per_run_usd, server_usd, period, on_exhausted, pause_s } = budget
  const pauseMs = on_exhausted === 'pause' ? pause_s * 1000 : null
  const limit = (usd: Usd | undefined) => (usd === undefined ? undefined : fromUsd(usd))
  return new Ledger({ ...parts, warnAt, perRun: limit(per_run_usd), server: limit(server_usd), period, pauseMs })
}

export class Ledger {
  /** The budgets that pay. */
  readonly accounts: Accounts
  readonly #store: Store
  readonly #state: StateManager
  readonly #clock: Clock
  readonly #calls: CallTable
  readonly #leases: SharedMoney | undefined
  readonly #open = new Map<CallId, HeldAccounts>()
  #unusableUntil = 0

  constructor(options: AccountsOptions) {
    const { store, state, clock, leases } = options
    this.accounts = new Accounts(options)
    this.#leases = leases
    this.#store = store
    this.#state = state
    this.#clock = clock
    this.#calls = store.calls
  }

  /** Run at the start of the server: marks open calls of a killed one as unresolved, and announces the limits. */
  begin(): void {
    this.recover()
    this.accounts.announce()
  }

  /** Turns calls that a killed server left open into `unresolved` rows that keep their hold. Returns how many. */
  recover(): number {
    return this.#calls.markUnresolved(isoTime(this.#clock.now()))
  }

  /**
   * Holds the maximum cost of a call, waiting up to two seconds for money held by running calls.
   * Throws BudgetExceededError when it does not fit even then, BudgetHeldError when the wait timed out,
   * CageError `database_unusable` when the row cannot be written; with a shared budget also `budget_unreachable` and
   * `runtime_revoked`. Nothing is held when it throws.
   */
  async hold(request: HoldRequest, signal?: AbortSignal): Promise<Hold> {
    const loading = this.accounts.load(request.agentId)
    if (loading) await loading
    const deadline = this.#clock.monotonic() + WAIT_FOR_HELD_MS
    const payers = this.accounts.payersOf(request)
    for (;;) {
      // No await from here to `#take`: two calls must never see the same money.
      const full = this.#fullAccount(request, payers)
      const lease = full ? undefined : this.#leases?.leaseFor(request, request.maxCost)
      if (!full && (lease || !this.#leases)) return this.#written(request, { payers, lease })
      const leftMs = deadline - this.#clock.monotonic()
      if (!full) {
        await this.#leases!.change(request, leftMs, signal)
        continue
      }
      if (leftMs <= 0 || signal?.aborted) {
        const { agentId, maxCost: needed } = request
        throw new BudgetHeldError({ budget: full.scope, agentId, needed, held: full.held })
      }
      await accountChange(payers, this.#clock, leftMs, signal)
    }
  }

  /**
   * Ends a hold with the actual cost and records it: the money counts at once, the row is committed with `event` and
   * with what `alongside` writes. Resolves after the commit was attempted, as `StateManager.recordBatched`; throws for
   * a hold that has already ended.
   */
  charge(hold: Hold, charge: Charge, event: NewEvent, alongside?: () => void): Promise<void> {
    return this.#settle(hold, 'charged', charge, event, alongside)
  }

  /** Ends the hold of a call that cost nothing, likewise. */
  release(hold: Hold, end: Omit<Charge, 'cost'>, event: NewEvent, alongside?: () => void): Promise<void> {
    return this.#settle(hold, 'released', { ...end, cost: ZERO_NANOS }, event, alongside)
  }

  /**
   * Corrects the cost of an ended call; the difference becomes a separate row. Returns that row's id. Throws CageError
   * `not_found`, or `conflict` for a call that is open, that is a correction, or that already costs this.
   */
  correct({ agentId, callId, cost, reason, by }: CorrectionRequest): CallId {
    const now = this.accounts.now()
    const call = this.#endedCall(agentId, callId)
    const difference = subtract(cost, this.#calls.costOf(agentId, callId))
    if (difference === 0) throw conflict(call, `already costs ${showUsd(toUsd(cost))}`)
    const id = newCallId()
    const chargedAt = call.started_at
    // Runs of an earlier server no longer have a budget.
    const runId = call.run_id !== null && this.accounts.hasRun(call.run_id) ? call.run_id : null
    const payers = this.accounts.payersOf({ agentId, runId })
    for (const account of payers) account.correct(difference, this.accounts.countsNow(account, chargedAt))
    const { run_id, target, model } = call
    const entry = { agent_id: agentId, id, run_id, target, model, corrects: callId, reason }
    const correction = { call, id, cost, difference, chargedAt, reason, by, paidBy: paidBy(payers) }
    this.#state.record(correctedEvent(correction), () =>
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
   * Ends a call that a killed server left open, with its outcome. Throws CageError `not_found`, or `conflict` for a
   * call that is not unresolved.
   */
  resolve({ agentId, callId, cost: given, by }: Resolution): void {
    const now = this.accounts.now()
    const call = this.#writtenCall(agentId, callId)
    if (call.state !== 'unresolved') throw conflict(call, `is ${call.state}, not unresolved`)
    const state = given === null ? 'released' : 'charged'
    const cost = given === undefined ? call.held_nanos : (given ?? ZERO_NANOS)
    // A run's budget is created after the start that made the call unresolved.
    const payers = this.accounts.payersOf({ agentId, runId: null })
    const lease = this.#leases?.find(call.lease_id)
    for (const account of accountsOf({ payers, lease }))
      account.settle(call.held_nanos, cost, this.accounts.countsNow(account, call.started_at))
    this.#state.record(this.#dated(resolvedEvent({ call, outcome: state, cost, by }), call.started_at), () => {
      this.#calls.resolve({ agent_id: agentId, id: callId, state, cost_nanos: cost, ended_at: isoTime(now) })
      if (call.lease_id !== null) this.#store.leases.use(call.lease_id, cost)
    })
  }

  close(): void {
    this.accounts.close()
  }

  /**
   * Returns the first account that could pay once running calls release money; undefined when all can pay now. Throws
   * BudgetExceededError if one cannot, even if running calls cost nothing.
   */
  #fullAccount({ agentId, maxCost, isForTools = false }: HoldRequest, payers: readonly Account[]): Account | undefined {
    this.accounts.now()
    const refusing = payers.find(({ unspent }) => maxCost > unspent)
    if (refusing) {
      const { scope: budget, limit, spent } = refusing
      const until = budget === 'run' || budget === 'part' ? null : (this.accounts.period()?.ends_at ?? null)
      const error = new BudgetExceededError({ budget, agentId, limit, spent, needed: maxCost, until })
      if (!isForTools || !this.accounts.isFirstOversized(agentId, refusing))
        this.accounts.exhaust(agentId, refusing, maxCost)
      throw error
    }
    return payers.find(({ available }) => maxCost > available)
  }

  /** Holds in all accounts. */
  #take(request: HoldRequest, open: HeldAccounts): Hold {
    if (this.#clock.monotonic() < this.#unusableUntil) throw unusable()
    for (const account of accountsOf(open)) account.hold(request.maxCost)
    this.#open.set(request.callId, open)
    return { ...request, startedAt: isoTime(this.accounts.now()), paidBy: paidBy(open.payers) }
  }

  /** Holds at once; resolves with the hold when its row is committed. */
  async #written(request: HoldRequest, open: HeldAccounts): Promise<Hold> {
    const hold = this.#take(request, open)
    const { callId, agentId, runId, kind, target, model, maxCost, startedAt } = hold
    const lease_id = open.lease?.id ?? null
    try {
      const unit = currentUnit(this.#state.read().agents[agentId])
      const row = { id: callId, agent_id: agentId, run_id: runId, kind, target, model, unit, lease_id }
      await new Promise<void>((resolve, reject) =>
        this.#store.groupCommit(
          () => this.#calls.insertHeld({ ...row, held_nanos: maxCost, started_at: startedAt }),
          (error) => (error === undefined ? resolve() : reject(error)),
        ),
      )
      return hold
    } catch (error) {
      this.#open.delete(callId)
      this.#end(open, { maxCost, startedAt }, ZERO_NANOS)
      if (!isStorageFault(error)) throw error
      this.#unusableUntil = this.#clock.monotonic() + UNUSABLE_MS
      throw unusable(error)
    }
  }

  #settle(hold: Hold, state: CallEnd['state'], charge: Charge, event: NewEvent, alongside?: () => void): Promise<void> {
    const open = this.#open.get(hold.callId)
    if (!open) throw new Error(`the hold of ${hold.callId} has already ended`)
    const endedAt = isoTime(this.accounts.now())
    this.#open.delete(hold.callId)
    this.#end(open, hold, charge.cost)
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
    return this.#state.recordBatched(this.#dated(event, hold.startedAt), () => {
      this.#calls.end(row)
      if (open.lease) this.#store.leases.use(open.lease.id, charge.cost)
      alongside?.()
    })
  }

  #end(open: HeldAccounts, { maxCost, startedAt }: Pick<Hold, 'maxCost' | 'startedAt'>, cost: Nanodollars): void {
    for (const account of accountsOf(open)) account.settle(maxCost, cost, this.accounts.countsNow(account, startedAt))
  }

  /** The event of a cost has the time of its hold if that counts before the current period. */
  #dated(event: NewEvent, heldAt: string): NewEvent {
    if (this.accounts.isOfThisPeriod(heldAt)) return event
    return { ...event, data: { ...event.data, held_at: heldAt } } as NewEvent
  }

  /** Returns the row of a call. */
  #writtenCall(agentId: AgentId, callId: CallId): CallRow {
    this.accounts.balance(agentId)
    // Rows that wait for the disk are out of date.
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
    if (call.kind === 'correction') throw conflict(call, `is a correction; correct ${call.corrects} again`)
    if (call.state === 'held') throw conflict(call, 'has not ended')
    if (call.state === 'unresolved') throw conflict(call, 'is unresolved: charge or release it')
    return call
  }
}

/** The accounts that an open hold counts in. */
interface HeldAccounts {
  payers: readonly Account[]
  /** With a shared budget. */
  lease: LentMoney | undefined
}

const accountsOf = ({ payers, lease }: HeldAccounts): readonly Account<PayingScope>[] =>
  lease ? [...payers, lease.account] : payers

const paidBy = (payers: readonly Account[]): PaidBy => {
  const runId = payers.find(({ scope }) => scope === 'run')?.runId
  return runId === undefined ? {} : { run_id: runId }
}

const unusable = (cause?: unknown): CageError =>
  new CageError('database_unusable', 'the ledger cannot be written, so the call was not sent', { cause })

const conflict = ({ id, agent_id }: CallRow, what: string): CageError =>
  new CageError('conflict', `call ${id} ${what}`, {
    facts: { agent_id, call_id: id },
    hint: `see "iron-cage budget calls ${agent_id}"`,
  })
