/**
 * The body of a provider's answer: chunks as they come from the connection, read once, whole or one by one. Without a
 * stream of Node's between: every call reads one, and the stream costs more than all else about it.
 */
import type { Dispatcher } from 'undici'
import type { Clock } from '../clock.ts'
import { ByteCollector } from './bodies/bytes.ts'

/** So much may wait for a slow reader before the provider is made to wait as well. */
const MAX_BUFFERED_BYTES = 64 * 1024

/** The connection that a body comes from. */
export type Source = Pick<Dispatcher.DispatchController, 'pause' | 'resume' | 'abort'>

export class AnswerBody {
  readonly #source: Source
  readonly #clock: Clock
  #waiting: Buffer[] = []
  #waitingBytes = 0
  /** Set when nothing more comes; `error`: because it broke off. */
  #end: { error: Error | undefined } | undefined
  /** Wakes the reader: there is more, or nothing more. */
  #wake: (() => void) | undefined

  constructor(source: Source, clock: Clock) {
    this.#source = source
    this.#clock = clock
  }

  /** The connection's: more has come. */
  push(chunk: Buffer): void {
    this.#waiting.push(chunk)
    this.#waitingBytes += chunk.length
    if (this.#waitingBytes > MAX_BUFFERED_BYTES) this.#source.pause()
    this.#wake?.()
  }

  /** The connection's: nothing more comes. */
  end(error?: Error): void {
    this.#end ??= { error }
    this.#wake?.()
  }

  /** Each chunk as it comes. Throws the error that it broke off with, after all that had come. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    for (;;) {
      yield* this.#take()
      if (this.#waiting.length > 0) continue
      if (this.#end) break
      await this.#more()
    }
    if (this.#end.error) throw this.#end.error
  }

  /** All of it. Throws the error that it broke off with, and `tooMuch` for more than `limit` bytes. */
  async whole(limit: number, tooMuch: () => Error): Promise<Buffer> {
    const collected = new ByteCollector(limit)
    for (;;) {
      for (const chunk of this.#take()) {
        if (collected.size + chunk.length > limit) throw tooMuch()
        collected.push(chunk)
      }
      if (this.#end) break
      await this.#more()
    }
    if (this.#end.error) throw this.#end.error
    return collected.take()
  }

  /** Nobody wants the rest: the connection is closed. */
  cancel(): void {
    if (!this.#end) this.#source.abort(new Error('nobody reads the rest'))
  }

  /** Lets the rest, if there is any, go by for up to `ms`, so that the connection serves the next call. */
  async drain(ms: number): Promise<void> {
    const timer = this.#clock.after(ms, () => this.cancel())
    while (!this.#end) {
      this.#take()
      await this.#more()
    }
    timer.cancel()
  }

  #take(): Buffer[] {
    const taken = this.#waiting
    this.#waiting = []
    this.#waitingBytes = 0
    // May push at once.
    this.#source.resume()
    return taken
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }
}
