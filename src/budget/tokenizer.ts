/**
 * Counts tokens on a separate thread: a vocabulary takes 0.2 s to load and 60 MB, and long texts take time to count.
 * The thread starts on demand and ends when idle.
 */
import { Worker } from 'node:worker_threads'
import { systemClock, type Timer } from '../core/clock.ts'
import { CageError } from '../core/errors.ts'
import { threadFile } from '../core/package-folder.ts'
import type { Count, Question } from './tokenizer-thread.ts'

/** Tokens of longer texts are estimated from their length, since counting would take too long. */
export const MAX_COUNTED_BYTES = 262_144
/** The thread ends after this long without a request, in ms. */
const IDLE_MS = 10_000

/** Counts the tokens of a text; exact for OpenAI's models, close for others. Throws CageError `internal` on failure. */
export async function countTokens(text: string, model: string): Promise<number> {
  if (text === '') return 0
  if (text.length > MAX_COUNTED_BYTES) return Math.ceil(Buffer.byteLength(text) / 4)
  running ??= new Tokenizer((ended) => {
    if (running === ended) running = undefined
  })
  return running.count(text, model)
}

/** The tokenizer of this process. */
let running: Tokenizer | undefined

interface PendingCount {
  resolve: (tokens: number) => void
  reject: (error: CageError) => void
}

class Tokenizer {
  readonly #thread: Worker
  readonly #onEnd: (ended: Tokenizer) => void
  readonly #pending = new Map<number, PendingCount>()
  #ids = 0
  #timer: Timer | undefined

  constructor(onEnd: (ended: Tokenizer) => void) {
    this.#onEnd = onEnd
    this.#thread = new Worker(threadFile(new URL('./tokenizer-thread.ts', import.meta.url)), { env: {} })
    this.#thread.unref()
    const end = (cause: unknown) => {
      onEnd(this)
      for (const { reject } of this.#pending.values()) reject(failed(cause))
      this.#pending.clear()
    }
    this.#thread.on('message', (count: Count) => this.#counted(count)).on('error', end)
    this.#thread.once('exit', end)
  }

  count(text: string, model: string): Promise<number> {
    const id = this.#ids++
    this.#timer?.cancel()
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject })
      this.#thread.postMessage({ id, text, model } satisfies Question)
    })
  }

  #counted({ id, tokens, error }: Count): void {
    const pending = this.#pending.get(id)
    this.#pending.delete(id)
    if (tokens === undefined) pending?.reject(failed(error))
    else pending?.resolve(tokens)
    // Only now: on a busy machine the first count, which loads a vocabulary, may take longer than that.
    if (this.#pending.size === 0) this.#timer = systemClock.after(IDLE_MS, () => this.#end()).unref()
  }

  /** Given up first: a thread that is ending answers no more. */
  #end(): void {
    this.#onEnd(this)
    void this.#thread.terminate()
  }
}

const failed = (cause: unknown): CageError =>
  new CageError('internal', 'the tokens of a text could not be counted', { cause })
