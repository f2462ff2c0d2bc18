/**
 * Rate limits are waits, not outages: when a provider names a time to try again, the calls of that model wait here
 * until then, in the order in which they came. One call's wait is bounded, and so is how many wait.
 */
import type { Clock, Timer } from '../core/clock.ts'
import { CageError } from '../core/errors.ts'
import { WaitingList } from '../core/waiting-list.ts'

/** Calls of one model that wait at once. */
export const MAX_WAITING = 1_024
/**
 * A call this soon after the begin of a wait belongs to the burst that was refused, and is sent like the rest of it.
 */
const SAME_BURST_MS = 250
/** When a wait is over its calls go out a few at a time, in so many steps: all at once they might all be refused again. */
const RELEASES = 10
const RELEASE_EVERY_MS = 10

interface WaitingCall {
  /** In the order in which they came. */
  ordinal: number
  /** Whose call it is. */
  agentId: string
  /** Monotonic ms. */
  deadline: number
}

interface Queue {
  /** Monotonic ms. */
  readonly since: number
  until: number
  readonly waiting: WaitingList<WaitingCall>
  timer: Timer | undefined
}

/** One call's place in the queue of its model. */
export interface Place {
  /**
   * Resolves when the call may be sent: at once unless the calls of its model wait. Throws CageError `rate_limited` when that
   * would be too long or too many wait already, and the signal's reason when the client left.
   */
  wait(signal: AbortSignal): Promise<void>
  /**
   * The provider asks to be left alone for so long. False when the call cannot wait that long: then no call waits for
   * it.
   */
  pause(ms: number): boolean
  /** How long the call has waited, in ms. */
  waitedMs(): number
}

export class RateLimits {
  readonly #clock: Clock
  readonly #queues = new Map<string, Queue>()
  #ordinals = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * `name`: provider, model and key, independent of the provider's counting. `maxWaitMs`: how long the call may wait in
   * all.
   */
  place(name: string, agentId: string, maxWaitMs: number): Place {
    const ordinal = this.#ordinals++
    let leftMs = maxWaitMs
    let wasRefused = false
    return {
      wait: async (signal) => {
        const queue = this.#queues.get(name)
        const startedAt = this.#clock.monotonic()
        if (!queue || (!wasRefused && startedAt - queue.since < SAME_BURST_MS)) return
        try {
          await this.#wait(queue, { ordinal, agentId, deadline: startedAt + leftMs }, signal)
        } finally {
          leftMs -= this.#clock.monotonic() - startedAt
        }
      },
      pause: (ms) => {
        if (ms > leftMs) return false
        wasRefused = true
        this.#pause(name, ms)
        return true
      },
      waitedMs: () => Math.round(maxWaitMs - leftMs),
    }
  }

  async #wait({ waiting, until }: Queue, call: WaitingCall, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    this.#requireRoom({ waiting, until }, call)
    await waiting.wait(call, signal, (other) => other.ordinal < call.ordinal)
  }

  #requireRoom(
    { until, waiting }: Pick<Queue, 'until' | 'waiting'>,
    { agentId, deadline }: Omit<WaitingCall, 'ordinal'>,
  ): void {
    if (until > deadline || !waiting.hasRoomFor(agentId)) throw this.#limited(until)
  }

  #pause(name: string, ms: number): void {
    const now = this.#clock.monotonic()
    const queue = this.#queues.get(name) ?? {
      since: now,
      until: 0,
      waiting: new WaitingList(MAX_WAITING),
      timer: undefined,
    }
    this.#queues.set(name, queue)
    queue.until = Math.max(queue.until, now + ms)
    queue.timer?.cancel()
    queue.timer = this.#clock.after(queue.until - now, () => this.#release(name, queue, RELEASES))
    for (const { who, reject } of queue.waiting) if (who.deadline < queue.until) reject(this.#limited(queue.until))
  }

  #release(name: string, queue: Queue, left: number): void {
    for (const { release } of [...queue.waiting].slice(0, Math.ceil(queue.waiting.length / left))) release()
    if (queue.waiting.length === 0) this.#queues.delete(name)
    else queue.timer = this.#clock.after(RELEASE_EVERY_MS, () => this.#release(name, queue, Math.max(1, left - 1)))
  }

  #limited(until: number): CageError {
    const seconds = Math.max(1, Math.ceil((until - this.#clock.monotonic()) / 1000))
    return new CageError('rate_limited', `the provider asked for a wait, for another ${seconds} s`, {
      retryAfterS: seconds,
    })
  }
}
