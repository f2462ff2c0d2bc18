import { write } from 'node:fs'
import { promisify } from 'node:util'
import type { Clock } from '../core/clock.ts'

/** Characters that may wait to be written; lines beyond are lost and counted. */
const MAX_WAITING = 8 * 1024 * 1024
/** Pause after a write, so that lines share writes: each takes a thread and wakes this one. */
const GATHER_MS = 50
/** Pause before a full pipe is tried again. */
const RETRY_MS = 20

export interface LineWriterOptions {
  clock: Clock
  /** Called before each write. */
  descriptor: () => number
  /** The line, with its newline, that stands for `count` lost ones. */
  lostLine: (lost: number) => string
  /** Receives the cause of a failed write; its lines are lost. (Default: none.) */
  onFault?: (error: NodeJS.ErrnoException) => void
}

/**
 * Writes lines to a file, a pipe or a terminal, one write at a time and never on the event loop: a full pipe or a
 * stopped terminal blocks its writer.
 */
export class LineWriter {
  readonly #options: LineWriterOptions
  #waiting: string[] = []
  #waitingLength = 0
  #lost = 0
  #writing: Promise<void> | undefined
  #closed = false

  constructor(options: LineWriterOptions) {
    this.#options = options
  }

  /** `line` ends with a newline. */
  write(line: string): void {
    if (this.#closed || this.#waitingLength + line.length > MAX_WAITING) {
      this.#lost++
      return
    }
    this.#waiting.push(line)
    this.#waitingLength += line.length
    this.#writing ??= this.#writeOut()
  }

  /** Accepts no more lines and resolves when the rest is written. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#writing
  }

  /** Never rejects. */
  async #writeOut(): Promise<void> {
    // All lines of this tick share one write; and `write` must have stored this promise before it can end.
    await Promise.resolve()
    while (this.#waiting.length > 0) {
      const lines = this.#waiting
      const lost = this.#lost
      this.#waiting = []
      this.#waitingLength = 0
      this.#lost = 0
      try {
        // Lines are lost when the queue is full: reported after those that were in it.
        const text = lines.join('') + (lost > 0 ? this.#options.lostLine(lost) : '')
        await this.#writeAll(this.#options.descriptor(), Buffer.from(text))
      } catch (error) {
        this.#lost += lost + lines.length
        this.#options.onFault?.(error as NodeJS.ErrnoException)
      }
      if (!this.#closed) await this.#options.clock.sleep(GATHER_MS)
    }
    this.#writing = undefined
  }

  async #writeAll(descriptor: number, bytes: Buffer): Promise<void> {
    for (let written = 0; written < bytes.length; ) {
      try {
        written += (await writeSome(descriptor, bytes, written)).bytesWritten
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
        await this.#options.clock.sleep(RETRY_MS)
      }
    }
  }
}

const writeSome = promisify(write)
