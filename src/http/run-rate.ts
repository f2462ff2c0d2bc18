/**
 * Limits how fast one agent may report. A faster one waits for its responses, like one that prints faster waits at its
 * pipe.
 */
import type { Clock } from '../core/clock.ts'
import { CageError } from '../core/errors.ts'

/** Per second, sustained; and the additional burst. */
const MAX_PER_SECOND = 200
const BURST = 400
/** Longest wait, in ms; beyond it the report is refused. */
const MAX_WAIT_MS = 5_000
/** How many agents are tracked before idle ones are forgotten. */
const MAX_REMEMBERED = 1_000

const INTERVAL_MS = 1_000 / MAX_PER_SECOND

export class RunRate {
  readonly #clock: Clock
  /** By agent: when its reports so far fit the rate, monotonic ms. */
  readonly #paidAt = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * Resolves when the agent may continue. Throws CageError `too_many_attempts`. `reports`: how many this one counts as.
   */
  async enter(agentId: string, reports = 1): Promise<void> {
    const now = this.#clock.monotonic()
    const paidAt = Math.max(now, this.#paidAt.get(agentId) ?? now) + reports * INTERVAL_MS
    const waitMs = paidAt - now - BURST * INTERVAL_MS
    if (waitMs > MAX_WAIT_MS) {
      throw new CageError('too_many_attempts', `at most ${MAX_PER_SECOND} reports a second are taken`, {
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
