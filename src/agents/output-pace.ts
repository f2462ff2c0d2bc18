/**
 * How fast agents' output is read: together they get a fifth of the event loop, in slices with a rest after each, so
 * that an agent that prints without end slows down only itself.
 */
import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../core/clock.ts'

/** Maximum duration of a slice, in ms. */
const SLICE_MS = 5
/** The rest after a slice, as a multiple of the slice. */
const REST = 4
/** Shorter rests add up first. */
const MIN_REST_MS = 2

/** Works until its time is up. Returns true when everything is done. */
export type Slice = (isTimeUp: () => boolean) => boolean

export class OutputPace {
  readonly #clock: Clock
  /** When the next slice may begin, monotonic ms. */
  #freeAt = 0
  #last: Promise<unknown> = Promise.resolve()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Runs one slice after those queued before it and a rest. `isUrgent`: yields once instead of resting. */
  async run(slice: Slice, isUrgent: boolean): Promise<boolean> {
    if (isUrgent) {
      await setImmediate()
      return this.#work(slice)
    }
    const before = this.#last
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#last = promise
    try {
      await before
      const restMs = this.#freeAt - this.#clock.monotonic()
      if (restMs >= MIN_REST_MS) await this.#clock.sleep(restMs)
      return this.#work(slice)
    } finally {
      resolve()
    }
  }

  #work(slice: Slice): boolean {
    const start = this.#clock.monotonic()
    const isDone = slice(() => this.#clock.monotonic() - start >= SLICE_MS)
    const tookMs = this.#clock.monotonic() - start
    this.#freeAt = Math.max(this.#freeAt, start) + tookMs * (1 + REST)
    return isDone
  }
}
