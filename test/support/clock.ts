import { setImmediate as turn } from 'node:timers/promises'
import { type Clock, sleepOn, type Timer } from '../../src/core/clock.ts'

/** More timers than this in one go are one that sets itself without end. */
const MAX_TIMERS = 1_000_000

interface Due {
  at: number
  run: () => void
}

/** Time moved by hand, with all that is due in it. */
export class TestClock implements Clock {
  #wall: number
  #monotonic = 1_000
  readonly #timers = new Set<Due>()
  #fired = 0

  constructor(wall: number | string = '2026-01-02T03:04:05Z') {
    this.#wall = new Date(wall).getTime()
  }

  now(): number {
    return this.#wall
  }

  monotonic(): number {
    return this.#monotonic
  }

  after(ms: number, run: () => void): Timer {
    const due = { at: this.#monotonic + Math.max(0, ms), run }
    this.#timers.add(due)
    const timer: Timer = { cancel: () => void this.#timers.delete(due), unref: () => timer }
    return timer
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, ms, signal)
  }

  /** How many timers are set. */
  get timers(): number {
    return this.#timers.size
  }

  /** Time passes: each due timer runs at its own time. */
  advance(ms: number): void {
    if (ms < 0) throw new RangeError(`time does not go back, and ${ms} ms were asked for: setWall sets the wall clock`)
    const until = this.#monotonic + ms
    for (let next = this.#next(until); next; next = this.#next(until)) this.#fire(next)
    this.#move(until)
  }

  /** The same, and code that awaits a timer continues before the next one fires. */
  async advanceAsync(ms: number): Promise<void> {
    const until = this.#monotonic + ms
    await turn()
    for (let next = this.#next(until); next; next = this.#next(until)) {
      this.#fire(next)
      await turn()
    }
    this.#move(until)
  }

  /** Awaits work that waits for other processes or sockets: each timer of at most `withinMs` fires soon after it is set. */
  async passing<T>(work: Promise<T>, withinMs = 2_000): Promise<T> {
    const poll = setInterval(() => {
      const next = this.#next(this.#monotonic + withinMs)
      if (next) this.#fire(next)
    }, 5)
    return work.finally(() => clearInterval(poll))
  }

  /** Sets the wall clock; no time passes. */
  setWall(byMs: number): void {
    this.#wall += byMs
  }

  #next(until: number): Due | undefined {
    let next: Due | undefined
    for (const due of this.#timers) if (due.at <= until && (!next || due.at < next.at)) next = due
    return next
  }

  #fire(due: Due): void {
    this.#move(due.at)
    this.#timers.delete(due)
    this.#fired += 1
    if (this.#fired > MAX_TIMERS) throw new Error('a timer sets itself again and again')
    due.run()
  }

  #move(to: number): void {
    this.#wall += to - this.#monotonic
    this.#monotonic = to
  }
}
