/**
 * The body of a provider's response: chunks as they arrive from the connection, read once, whole or one by one. No Node
 * stream in between: every call reads a body, and a stream would cost more than everything else about the call.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Dispatcher } from 'undici'
import type { Clock } from '../../core/clock.ts'
import { ByteCollector } from '../bodies/bytes.ts'

/** Bytes buffered for a slow reader before the connection is paused. */
const MAX_BUFFERED_BYTES = 64 * 1024

/** Controls the connection that a body arrives on. */
export type Source = Pick<Dispatcher.DispatchController, 'pause' | 'resume' | 'abort'>

export class AnswerBody {
  readonly #source: Source
  readonly #clock: Clock
  #waiting: Buffer[] = []
  #waitingBytes = 0
  /** Set when the body is complete; `error`: the connection broke. */
  #end: { error: Error | undefined } | undefined
  /** Wakes the reader when a chunk or the end arrives. */
  #wake: (() => void) | undefined

  constructor(source: Source, clock: Clock) {
    this.#source = source
    this.#clock = clock
  }

  /** Called by the connection when a chunk arrives. */
  push(chunk: Buffer): void {
    this.#waiting.push(chunk)
    this.#waitingBytes += chunk.length
    if (this.#waitingBytes > MAX_BUFFERED_BYTES) this.#source.pause()
    this.#wake?.()
  }

  /** Called by the connection when the body ends. */
  end(error?: Error): void {
    this.#end ??= { error }
    this.#wake?.()
  }

  /** Returns the first bytes, at least as many as this, without taking them; fewer when the body ends before. */
  async peek(size: number): Promise<Buffer> {
    while (this.#waitingBytes < size && !this.#end) await this.#more()
    return this.#waiting.length === 1 ? this.#waiting[0]! : Buffer.concat(this.#waiting)
  }

  /** Yields each chunk as it arrives. Throws the connection's error after the chunks that preceded it. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    let readBytes = 0
    for (;;) {
      for (const chunk of this.#take()) {
        readBytes += chunk.length
        yield chunk
      }
      if (readBytes >= MAX_BUFFERED_BYTES) {
        readBytes = 0
        await nextTurn()
      }
      if (this.#waiting.length > 0) continue
      if (this.#end) break
      await this.#more()
    }
    if (this.#end.error) throw this.#end.error
  }

  /**
   * Returns the whole body. Throws the connection's error, or `tooMuch` above `limit` bytes. `beforeLarge`: awaited
   * before a large body is received. (Default: nothing.)
   */
  async whole(limit: number, tooMuch: () => Error, beforeLarge?: () => Promise<void>): Promise<Buffer> {
    const collected = new ByteCollector(limit)
    let isAwaited = false
    for (;;) {
      if (collected.isLarge && !isAwaited) {
        isAwaited = true
        await beforeLarge?.()
      }
      for (const chunk of this.#take()) {
        if (collected.size + chunk.length > limit) throw tooMuch()
        collected.push(chunk)
      }
      if (this.#waiting.length > 0) continue
      if (this.#end) break
      await this.#more()
      // A fast connection delivers megabytes in one turn of the event loop.
      if (collected.isLarge) await nextTurn()
    }
    if (this.#end.error) throw this.#end.error
    return collected.take()
  }

  /** Closes the connection unless the body is complete. */
  cancel(): void {
    if (!this.#end) this.#source.abort(new Error('the rest of the body is not needed'))
  }

  /** Discards the rest of the body for up to `ms`, so that the connection can be reused. */
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
    // `resume` may push synchronously.
    this.#source.resume()
    return taken
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }
}
