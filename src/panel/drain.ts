/**
 * How a process of the panel leaves the load balancers in front of it before it closes, so that none sends it requests
 * that it cannot answer.
 */
import type { ServerResponse } from 'node:http'
import type { Clock } from '../core/clock.ts'

/** Long enough for a balancer that checks every second or two, and short of the ten that containers are given to stop, in ms. */
const DRAIN_MS = 5_000

export class Drain {
  readonly #clock: Clock
  readonly #running = new Set<ServerResponse>()
  #isDraining = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Whether the process is about to close, and should get no more requests. */
  get isDraining(): boolean {
    return this.#isDraining
  }

  /** Must be called before anything is written to the response. */
  watch(response: ServerResponse): void {
    if (this.#isDraining) return closeAfter(response)
    this.#running.add(response)
    response.once('close', () => this.#running.delete(response))
  }

  /** Resolves when balancers have had the time to notice. Until then every request is answered, and its connection closed. */
  async run(): Promise<void> {
    this.#isDraining = true
    for (const response of this.#running) closeAfter(response)
    await this.#clock.sleep(DRAIN_MS)
  }
}

/** Says `connection: close`, so that the client opens its next connection to another process. */
function closeAfter(response: ServerResponse): void {
  response.shouldKeepAlive = false
}
