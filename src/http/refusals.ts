/**
 * Refused requests, as events and thereby in the audit. Anyone can be refused thousands of times a second, without a
 * token and from any page in a browser, so the first few are recorded one by one and the rest as a number, however long
 * it lasts: refusals cannot fill the disk or crowd out other events.
 */
import type { Clock, Timer } from '../core/clock.ts'
import type { StateManager } from '../state/state-manager.ts'

export interface Refusal {
  /** For people, without the credentials that were sent. */
  message: string
  reason: string
  /** "GET /api/agents" */
  route: string
  /** The caller, if authenticated. (Default: unknown.) */
  who?: { role: 'admin' | 'viewer' | 'agent'; actor: string } | undefined
}

/** Recorded one by one; refilled by one per minute. */
const MAX_SINGLE = 60
const SINGLE_EVERY_MS = 60_000
/** How long further ones are counted before their number is recorded, in ms; doubles while there are more. */
const MIN_COUNT_MS = 60_000
const MAX_COUNT_MS = 3_600_000

/** Of one caller, or of all unauthenticated ones. */
interface Flow {
  singlesLeft: number
  /** Monotonic ms. */
  refilledAt: number
  count: number
  countMs: number
  timer: Timer | undefined
  last: Refusal
}

export class Refusals {
  readonly #state: StateManager
  readonly #clock: Clock
  readonly #flows = new Map<string, Flow>()

  constructor({ state, clock }: { state: StateManager; clock: Clock }) {
    this.#state = state
    this.#clock = clock
  }

  /** Records a refusal, or counts it. */
  record(refusal: Refusal): void {
    const flow = this.#flowOf(refusal)
    if (flow.singlesLeft >= 1) {
      flow.singlesLeft -= 1
      return this.#write(refusal, `Refused ${refusal.route}: ${refusal.message}`)
    }
    flow.count += 1
    flow.last = refusal
    flow.timer ??= this.#clock.after(flow.countMs, () => this.#summarize(flow)).unref()
  }

  /** Records the pending counts. */
  close(): void {
    for (const flow of this.#flows.values()) this.#summarize(flow)
    this.#flows.clear()
  }

  #flowOf(last: Refusal): Flow {
    const key = last.who ? `${last.who.role} ${last.who.actor}` : ''
    const now = this.#clock.monotonic()
    const known = this.#flows.get(key)
    const refilled = known ? known.singlesLeft + (now - known.refilledAt) / SINGLE_EVERY_MS : MAX_SINGLE
    if (known && refilled < MAX_SINGLE) return Object.assign(known, { singlesLeft: refilled, refilledAt: now })
    if (known) this.#summarize(known)
    const flow = { singlesLeft: MAX_SINGLE, refilledAt: now, count: 0, countMs: MIN_COUNT_MS, timer: undefined, last }
    this.#flows.set(key, flow)
    return flow
  }

  #summarize(flow: Flow): void {
    const { count, last } = flow
    flow.timer?.cancel()
    Object.assign(flow, { count: 0, timer: undefined, countMs: Math.min(MAX_COUNT_MS, flow.countMs * 2) })
    if (count === 0) return
    const requests = count === 1 ? 'request' : 'requests'
    this.#write(last, `Refused ${count} more ${requests}, the last one ${last.route}: ${last.message}`, count)
  }

  #write({ reason, route, who }: Refusal, message: string, count?: number): void {
    const data = { reason, route, ...who, ...(count !== undefined && { count }) }
    this.#state.record({ type: 'auth.failed', level: 'WARN', message, data })
  }
}
