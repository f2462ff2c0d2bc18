/** How fast one agent may report. Who is faster waits for its answer, as whoever prints faster waits at its pipe. */
import type { Clock } from '../clock.ts'
import { CageError } from '../errors.ts'

/** In a second, on the whole; so many more at once. */
const MAX_PER_SECOND = 200
const BURST = 400
/** Longer than this nobody is kept waiting, in ms. */
const MAX_WAIT_MS = 5_000
/** So many agents are remembered before those that have rested are forgotten. */
const MAX_REMEMBERED = 1_000

const INTERVAL_MS = 1_000 / MAX_PER_SECOND

export class RunRate {
  readonly #clock: Clock
  /** By agent: when all that it has reported is paid for by time, monotonic ms. */
  readonly #paidAt = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Resolves when the agent may go on. Throws CageError `too_many_attempts`. `reports`: as many this one counts. */
  async enter(agentId: string, reports = 1): Promise<void> {
    const now = this.#clock.monotonic()
    const paidAt = Math.max(now, this.#paidAt.get(agentId) ?? now) + reports * INTERVAL_MS
    const waitMs = paidAt - now - BURST * INTERVAL_MS
    if (waitMs > MAX_WAIT_MS) {
      throw new CageError('too_many_attempts', `an agent makes at most ${MAX_PER_SECOND} reports a second`, {
        facts: { agent_id: agentId },
        retryAfterS: Math.ceil((waitMs - MAX_WAIT_MS) / 1_000),
      })
    }
    this.#paidAt.set(agentId, paidAt)
    if (this.#paidAt.size > MAX_REMEMBERED) this.#forgetRested(now)
    if (waitMs > 0) await this.#clock.sleep(waitMs)
  }

  #forgetRested(now: number): void {
    for (const [agentId, paidAt] of this.#paidAt) if (paidAt <= now) this.#paidAt.delete(agentId)
  }
}
