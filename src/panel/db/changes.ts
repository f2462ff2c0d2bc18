/**
 * Hears from PostgreSQL what changed on any process of the panel, on a connection of its own that is replaced when it breaks.
 * Whatever was missed meanwhile, listeners hear that everything may have changed.
 */
import pg from 'pg'
import { systemClock, type Timer } from '../../clock.ts'
import type { ChangeListener } from './database.ts'

export const CHANNEL = 'iron_cage_changes'
const RECONNECT_MS = 1_000

export class Changes {
  readonly #options: pg.ClientConfig
  readonly #listeners = new Set<ChangeListener>()
  #client: pg.Client | undefined
  #connecting: Promise<void> | undefined
  #timer: Timer | undefined
  #isClosed = false

  constructor(options: pg.ClientConfig) {
    this.#options = options
  }

  /** Connects for the first listener. */
  listen(listener: ChangeListener): () => void {
    this.#listeners.add(listener)
    if (!this.#client && !this.#connecting) this.#connectSoon(0)
    return () => this.#listeners.delete(listener)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#timer?.cancel()
    await this.#connecting
    await this.#client?.end().catch(() => undefined)
  }

  #connectSoon(ms: number): void {
    if (this.#isClosed) return
    this.#timer = systemClock
      .after(ms, () => {
        this.#connecting = this.#connect().finally(() => {
          this.#connecting = undefined
        })
      })
      .unref()
  }

  /** Never rejects. */
  async #connect(): Promise<void> {
    const client = new pg.Client(this.#options)
    const lost = () => {
      if (this.#client !== client) return
      this.#client = undefined
      client.end().catch(() => undefined)
      this.#connectSoon(RECONNECT_MS)
    }
    client.on('error', lost)
    client.on('end', lost)
    client.on('notification', ({ payload }) => this.#emit(payload))
    try {
      await client.connect()
      await client.query(`LISTEN ${CHANNEL}`)
      this.#client = client
      this.#emit(undefined)
    } catch {
      client.end().catch(() => undefined)
      this.#connectSoon(RECONNECT_MS)
    }
  }

  #emit(organizationId: string | undefined): void {
    for (const listener of this.#listeners) listener(organizationId)
  }
}
