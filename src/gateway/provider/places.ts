/**
 * A bounded number of places that agents share fairly: no agent has more than it leaves free for all others, so a
 * newcomer always finds one. Callers without a place wait in order of arrival. A place may be anything that is counted: a connection, a thread, a byte.
 */
import { WaitingList } from '../../core/waiting-list.ts'

/** An agent that waits for so many places. */
interface Wanted {
  agentId: string
  count: number
}

type Release = () => void

export class Places {
  readonly #max: number
  #taken = 0
  readonly #own = new Map<string, number>()
  readonly #waiting: WaitingList<Wanted, Release>

  /** `maxWaiting`: how many may wait for a place. (Default: 0.) */
  constructor(max: number, maxWaiting = 0) {
    this.#max = max
    this.#waiting = new WaitingList(maxWaiting)
  }

  /**
   * Takes places and returns their release function (idempotent); returns undefined when the agent may not have so many.
   * `count`: (Default: 1.)
   */
  tryTake(agentId: string, count = 1): Release | undefined {
    const own = this.#own.get(agentId) ?? 0
    if (own + count > this.#max - this.#taken) return undefined
    this.#taken += count
    this.#own.set(agentId, own + count)
    let isTaken = true
    return () => {
      if (!isTaken) return
      isTaken = false
      this.#release(agentId, count)
    }
  }

  /**
   * Like `tryTake`, but waits. Rejects with the signal's reason; returns undefined if the agent may not wait either.
   */
  async take(agentId: string, signal: AbortSignal, count = 1): Promise<Release | undefined> {
    const taken = this.tryTake(agentId, count)
    return taken || !this.#waiting.hasRoomFor(agentId) ? taken : this.#waiting.wait({ agentId, count }, signal)
  }

  #release(agentId: string, count: number): void {
    this.#taken -= count
    const own = this.#own.get(agentId)! - count
    if (own === 0) this.#own.delete(agentId)
    else this.#own.set(agentId, own)
    // Agents at their limit are skipped, each checked once.
    const checked = new Set<string>()
    for (const { who, release } of this.#waiting) {
      if (this.#taken >= this.#max) return
      if (checked.has(who.agentId)) continue
      checked.add(who.agentId)
      const places = this.tryTake(who.agentId, who.count)
      if (places) release(places)
    }
  }
}
