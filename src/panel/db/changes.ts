/**
 * Receives changes of any process of the panel, on a separate connection that is replaced when it breaks. To cover
 * missed changes, listeners are notified that everything may have changed.
 */
import { systemClock, type Timer } from '../../core/clock.ts'
import type { ChangeListener } from './database.ts'

const RECONNECT_MS = 1_000

/**
 * Opens a connection that calls `heard` at each change, and `lost` when it breaks. Rejects when there is none; resolves
 * to a function that ends the connection and may be called twice.
 */
export type Connect = (heard: ChangeListener, lost: () => void) => Promise<() => Promise<void>>

export class Changes {
  readonly #connect: Connect
  readonly #listeners = new Set<ChangeListener>()
  /** Ends the connection that there is. */
  #disconnect: (() => Promise<void>) | undefined
  #connecting: Promise<void> | undefined
  #timer: Timer | undefined
  #isClosed = false

  constructor(connect: Connect) {
    this.#connect = connect
  }

  get isConnected(): boolean {
    return this.#disconnect !== undefined
  }

  /** Connects for the first listener. */
  listen(listener: ChangeListener): () => void {
    this.#listeners.add(listener)
    if (!this.#timer) this.#connectSoon(0)
    return () => this.#listeners.delete(listener)
  }

  /** Calls every listener of this process. */
  emit(organizationId: string | undefined): void {
    for (const listener of this.#listeners) listener(organizationId)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#timer?.cancel()
    await this.#connecting
    await this.#disconnect?.()
  }

  #connectSoon(ms: number): void {
    if (this.#isClosed) return
    const connect = () => {
      this.#connecting = this.#replace()
    }
    this.#timer = systemClock.after(ms, connect).unref()
  }

  /** Never rejects. */
  async #replace(): Promise<void> {
    let isLost = false
    let disconnect: (() => Promise<void>) | undefined
    const lost = () => {
      if (isLost) return
      isLost = true
      this.#disconnect = undefined
      void disconnect?.()
      this.#connectSoon(RECONNECT_MS)
    }
    try {
      disconnect = await this.#connect((organizationId) => this.emit(organizationId), lost)
    } catch {
      return lost()
    }
    if (isLost) return void disconnect()
    this.#disconnect = disconnect
    this.emit(undefined)
  }
}
