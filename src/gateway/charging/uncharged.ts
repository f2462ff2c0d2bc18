/**
 * Calls that cost nothing: those refused before a hold, and those of free routes. Each has its row in the ledger. Equal
 * calls within a minute share a row, which counts them, so that a flood of refusals cannot fill the disk; the first is
 * written at once.
 */
import { type Clock, isoTime, type Timer } from '../../core/clock.ts'
import { type CallId, newCallId } from '../../core/ids.ts'
import { isStorageFault } from '../../db/storage-fault.ts'
import type { CallTable } from '../../db/tables/calls.ts'
import type { Scrub } from '../../state/clean.ts'
import type { StateManager } from '../../state/state-manager.ts'
import type { Caller } from '../call.ts'
import { traceOf } from './call-events.ts'

/** How long equal calls share a row, in ms. */
const WINDOW_MS = 60_000
/** Maximum rows open at a time. */
const MAX_OPEN = 1_000

export interface UnchargedCall {
  caller: Caller
  provider: string
  /** Null if none was read. */
  model: string | null
  /** Why it cost nothing: the code of the refusal, or "unmetered". */
  code: string
  status: number
  /** The refusal as a sentence, and what to do next; null for a call that was sent. */
  refusal: { message: string; hint: string } | null
}

interface OpenRow {
  id: CallId
  call: UnchargedCall
  count: number
  timer: Timer
}

export class UnchargedCalls {
  readonly #state: StateManager
  readonly #calls: CallTable
  readonly #scrub: Scrub
  readonly #clock: Clock
  readonly #open = new Map<string, OpenRow>()

  constructor({ state, calls, scrub, clock }: { state: StateManager; calls: CallTable; scrub: Scrub; clock: Clock }) {
    this.#state = state
    this.#calls = calls
    this.#scrub = scrub
    this.#clock = clock
  }

  record(call: UnchargedCall): void {
    const key = [call.caller.agentId, call.provider, call.code].join(' ')
    const known = this.#open.get(key)
    if (known) {
      known.count += 1
      return
    }
    if (this.#open.size >= MAX_OPEN) this.close()
    const id = newCallId()
    const timer = this.#clock.after(WINDOW_MS, () => this.#end(key)).unref()
    this.#open.set(key, { id, call, count: 1, timer })
    const at = isoTime(this.#state.now())
    const { caller, provider: target, code, status } = call
    const model = call.model === null ? null : this.#scrub(call.model)
    const row = { id, agent_id: caller.agentId, run_id: caller.runId, target, model, status, code, started_at: at }
    this.#write(call, id, 1, () => this.#calls.insertUncharged(row))
  }

  /** Writes the count of each open row. */
  close(): void {
    for (const key of [...this.#open.keys()]) this.#end(key)
  }

  #end(key: string): void {
    const { id, call, count, timer } = this.#open.get(key)!
    this.#open.delete(key)
    timer.cancel()
    if (count === 1) return
    this.#write(call, id, count, () => this.#calls.countUncharged(call.caller.agentId, id, count))
  }

  #write(
    { caller, provider, model, code, status, refusal }: UnchargedCall,
    id: CallId,
    calls: number,
    row: () => void,
  ) {
    if (refusal === null) return unlessFull(row)
    const often = calls === 1 ? '' : ` (${calls} times within a minute)`
    this.#state.record(
      {
        type: 'call.refused',
        level: 'WARN',
        agent_id: caller.agentId,
        message: `Refused${often}: ${refusal.message}`,
        data: {
          call_id: id,
          provider,
          model,
          code,
          status,
          calls,
          hint: this.#scrub(refusal.hint),
          ...traceOf(caller),
        },
      },
      row,
    )
  }
}

/** A full disk must not fail a call that cost nothing and was answered. */
function unlessFull(write: () => void): void {
  try {
    write()
  } catch (error) {
    if (!isStorageFault(error)) throw error
  }
}
