/**
 * A bounded number of places that agents share fairly: no agent has more than it leaves free for all others, so a
 * newcomer always finds one. Callers without a place wait in order of arrival; the waiting list is shared in the same
 * way.
 */
interface Waiting {
  agentId: string
  take: () => void
}

export class Places {
  readonly #max: number
  readonly #maxWaiting: number
  #taken = 0
  readonly #own = new Map<string, number>()
  readonly #waiting = new Set<Waiting>()

  /** `maxWaiting`: how many may wait for a place. (Default: 0.) */
  constructor(max: number, maxWaiting = 0) {
    this.#max = max
    this.#maxWaiting = maxWaiting
  }

  /** Takes a place and returns its release function (idempotent); returns undefined when the agent may have none. */
  tryTake(agentId: string): (() => void) | undefined {
    const own = this.#own.get(agentId) ?? 0
    if (own >= this.#max - this.#taken) return undefined
    this.#taken += 1
    this.#own.set(agentId, own + 1)
    let isTaken = true
    return () => {
      if (!isTaken) return
      isTaken = false
      this.#release(agentId)
    }
  }

  /**
   * Like `tryTake`, but waits. Rejects with the signal's reason; returns undefined if the agent may not wait either.
   */
  take(agentId: string, signal: AbortSignal): Promise<(() => void) | undefined> {
    const taken = this.tryTake(agentId)
    if (taken || !this.#mayWait(agentId)) return Promise.resolve(taken)
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.delete(waiting)
        reject(signal.reason)
      }
      const waiting = {
        agentId,
        take: () => {
          const place = this.tryTake(agentId)
          if (!place) return
          this.#waiting.delete(waiting)
          signal.removeEventListener('abort', leave)
          resolve(place)
        },
      }
      if (signal.aborted) return leave()
      signal.addEventListener('abort', leave, { once: true })
      this.#waiting.add(waiting)
    })
  }

  #mayWait(agentId: string): boolean {
    const own = [...this.#waiting].filter((waiting) => waiting.agentId === agentId).length
    return own < this.#maxWaiting - this.#waiting.size
  }

  #release(agentId: string): void {
    this.#taken -= 1
    const own = this.#own.get(agentId)! - 1
    if (own === 0) this.#own.delete(agentId)
    else this.#own.set(agentId, own)
    // Agents at their limit are skipped, each checked once.
    const checked = new Set<string>()
    for (const waiting of this.#waiting) {
      if (this.#taken >= this.#max) return
      if (checked.has(waiting.agentId)) continue
      checked.add(waiting.agentId)
      waiting.take()
    }
  }
}
