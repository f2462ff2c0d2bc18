/**
 * A bounded number of places that agents share fairly: none has more than it leaves free for all others, so there is
 * always one for who comes next. Whoever cannot have one waits, in the order in which they came; those who wait are
 * shared in the same way.
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

  /** `maxWaiting`: how many may wait for a place. (Default: none.) */
  constructor(max: number, maxWaiting = 0) {
    this.#max = max
    this.#maxWaiting = maxWaiting
  }

  /** Takes a place if the agent may have one. Returns what gives it back, once; undefined when it may not. */
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

  /** The same, but waits for one. Rejects with the signal's reason when that fires; undefined when it may not wait either. */
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
    // Who may not have one now is passed over: each agent is asked once.
    const asked = new Set<string>()
    for (const waiting of this.#waiting) {
      if (this.#taken >= this.#max) return
      if (asked.has(waiting.agentId)) continue
      asked.add(waiting.agentId)
      waiting.take()
    }
  }
}
