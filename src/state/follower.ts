/**
 * Follows the table of events for an outside receiver, such as a collector or a Control Panel.
 *
 * The rules are:
 * - The table is the buffer: nothing is copied, and events that were not taken are offered again, also by the next
 *   server.
 * - One page at a time, beside everything else. After a failure the next attempt waits, twice as long each time.
 * - Events that were deleted before they were taken are reported as lost.
 */
import type { Clock } from '../core/clock.ts'
import type { RuntimeEvent } from '../core/events.ts'
import { RepeatingTask } from '../core/repeating-task.ts'
import type { StateManager } from './state-manager.ts'

export interface Page {
  /** The last event that was taken. */
  after: number
  /** What follows, oldest first. */
  events: RuntimeEvent[]
  /** Events between that were deleted. */
  lost: { from: number; to: number } | null
}

export interface FollowerOptions {
  state: Pick<StateManager, 'findEvents' | 'subscribe'>
  clock: Clock
  /** The last event that was taken; undefined if only `take` knows: it gets an empty page first. */
  cursor: number | undefined
  /** Returns the last event that is taken now. Rejects when the page has to be offered again. */
  take: (page: Page, signal: AbortSignal) => Promise<number>
  /** There are no more events. Returns the ms until it is called again; undefined for after the next event. (Default: nothing.) */
  onIdle?: (isLast: boolean, signal: AbortSignal) => Promise<number | undefined>
}

const PAGE = 500
/** New events wait for others; what could not be taken is offered again. In ms. */
const GATHER_MS = 1_000

export class Follower {
  readonly #options: FollowerOptions
  readonly #task: RepeatingTask
  readonly #abort = new AbortController()
  readonly #unsubscribe: () => void
  #cursor: number | undefined

  constructor(options: FollowerOptions) {
    this.#options = options
    this.#cursor = options.cursor
    this.#task = new RepeatingTask(options.clock, () => this.#step(false))
    this.#unsubscribe = options.state.subscribe(() => this.#task.wake(GATHER_MS))
  }

  /** Attempts in a row that failed. */
  get failures(): number {
    return this.#task.failures
  }

  /** Ends the wait after failures. */
  retry(): void {
    this.#task.retry()
  }

  /** Offers the rest, for `ms` at most and not after a failure. Returns whether everything was taken. */
  async close(ms: number): Promise<boolean> {
    this.#unsubscribe()
    const deadline = this.#options.clock.after(ms, () => this.#abort.abort())
    await this.#task.stop()
    const isWhole = this.failures === 0 && (await this.#takeRest().catch(() => false))
    deadline.cancel()
    this.#abort.abort()
    return isWhole
  }

  async #takeRest(): Promise<boolean> {
    while ((await this.#step(true)) === AT_ONCE && !this.#abort.signal.aborted);
    return this.#cursor !== undefined && this.#nextPage() === undefined
  }

  async #step(isLast: boolean): Promise<number | undefined> {
    const { take, onIdle } = this.#options
    const { signal } = this.#abort
    const before = this.#cursor
    const page = this.#nextPage()
    if (!page) return onIdle?.(isLast, signal)
    this.#cursor = await take(page, signal)
    return before === undefined || this.#cursor > before ? AT_ONCE : GATHER_MS
  }

  #nextPage(): Page | undefined {
    const after = this.#cursor
    if (after === undefined) return { after: 0, events: [], lost: null }
    const events = this.#options.state.findEvents({ after, limit: PAGE })
    const [first] = events
    if (!first) return undefined
    return { after, events, lost: first.seq > after + 1 ? { from: after + 1, to: first.seq - 1 } : null }
  }
}

const AT_ONCE = 0
