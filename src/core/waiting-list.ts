/**
 * Callers that wait in order until they are released. A caller leaves as soon as its signal fires. The list is bounded
 * and shared fairly: no agent has more places than it leaves free for all others, so a newcomer always finds one.
 */

/** One caller. `Given`: its share, with its release. Ends once: later releases and rejections do nothing. */
export interface Waiting<Who, Given = void> {
  readonly who: Who
  release(given: Given): void
  reject(error: unknown): void
}

export class WaitingList<Who extends { agentId: string }, Given = void> {
  readonly #max: number
  readonly #callers: Waiting<Who, Given>[] = []

  /** `max`: how many may wait. */
  constructor(max: number) {
    this.#max = max
  }

  get length(): number {
    return this.#callers.length
  }

  /** In order; callers may be released meanwhile. */
  [Symbol.iterator](): Iterator<Waiting<Who, Given>> {
    return [...this.#callers].values()
  }

  /** True if one more of the agent's callers may wait. */
  hasRoomFor(agentId: string): boolean {
    const own = this.#callers.filter(({ who }) => who.agentId === agentId).length
    return own < this.#max - this.#callers.length
  }

  /**
   * Only when `hasRoomFor` is true. Resolves when the caller is released, rejects with the error or the signal's
   * reason. `goesBefore`: callers that it does not overtake. (Default: all.)
   */
  wait(who: Who, signal: AbortSignal, goesBefore: (other: Who) => boolean = () => true): Promise<Given> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason)
      const leave = () => caller.reject(signal.reason)
      const ended = () => {
        const at = this.#callers.indexOf(caller)
        if (at >= 0) this.#callers.splice(at, 1)
        signal.removeEventListener('abort', leave)
      }
      const caller: Waiting<Who, Given> = {
        who,
        release: (given) => {
          ended()
          resolve(given)
        },
        reject: (error) => {
          ended()
          reject(error)
        },
      }
      signal.addEventListener('abort', leave, { once: true })
      this.#callers.splice(this.#callers.findLastIndex((other) => goesBefore(other.who)) + 1, 0, caller)
    })
  }
}
