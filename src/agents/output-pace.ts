/**
 * How fast agents' output is read: all of it together takes a fifth of the event loop, in slices after which others get
 * their turn, so that nobody who prints without end is felt by anybody but itself.
 */
import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../clock.ts'

/** How long one slice may take, in ms. */
const SLICE_MS = 5
/** The rest after a slice, in slices. */
const REST = 4
/** Shorter ones are no use; they add up. */
const MIN_REST_MS = 2

/** Works until it is asked to stop, and returns true when all is done. */
export type Slice = (isTimeUp: () => boolean) => boolean

export class OutputPace {
  readonly #clock: Clock
  /** From when on somebody may work, monotonic ms. */
  #freeAt = 0
  #last: Promise<unknown> = Promise.resolve()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** One slice of work, after those of others and a rest. `isUrgent`: with no more of a rest than a turn for others. */
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
