/**
 * A task beside everything else that runs again and again, one run at a time. Each run returns when the next one is
 * due; after a failure the next one waits, twice as long each time.
 */
import { backoffMs } from './backoff.ts'
import type { Clock, Timer } from './clock.ts'

/** Between the attempts of work beside everything else. */
export const BACKGROUND = { firstMs: 1_000, maxMs: 60_000 }

export class RepeatingTask {
  readonly #clock: Clock
  readonly #run: () => Promise<number | undefined>
  /** Runs in a row that rejected. */
  failures = 0
  /** When the next run is due, also while one is running; Infinity for when it is woken. */
  #dueAt = Number.POSITIVE_INFINITY
  #timer: Timer | undefined
  #running: Promise<void> | undefined
  #isStopped = false

  /** `run` resolves with the ms until the next run, undefined for when it is woken. The first one is due at once. */
  constructor(clock: Clock, run: () => Promise<number | undefined>) {
    this.#clock = clock
    this.#run = run
    this.#schedule(0)
  }

  /** Runs in `ms` at the latest; after a failure when it is due. */
  wake(ms: number): void {
    if (this.failures === 0) this.#schedule(ms)
  }

  /** Runs at once, also after failures. */
  retry(): void {
    this.failures = 0
    this.#schedule(0)
  }

  /** Resolves when the present run has ended; there is no further one. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#timer?.cancel()
    await this.#running
  }

  #schedule(ms: number): void {
    const dueAt = this.#clock.monotonic() + ms
    if (dueAt >= this.#dueAt) return
    this.#dueAt = dueAt
    if (!this.#running) this.#setTimer()
  }

  #setTimer(): void {
    this.#timer?.cancel()
    if (this.#isStopped || this.#dueAt === Number.POSITIVE_INFINITY) return
    const start = () => {
      this.#dueAt = Number.POSITIVE_INFINITY
      this.#running = this.#runOnce()
    }
    this.#timer = this.#clock.after(Math.max(0, this.#dueAt - this.#clock.monotonic()), start).unref()
  }

  /** Never rejects. */
  async #runOnce(): Promise<void> {
    try {
      const pause = await this.#run()
      this.failures = 0
      if (pause !== undefined) this.#schedule(pause)
    } catch {
      this.failures += 1
      this.#dueAt = this.#clock.monotonic() + backoffMs(this.failures, BACKGROUND)
    }
    this.#running = undefined
    this.#setTimer()
  }
}
