/**
 * Counts tokens on a thread of its own: a vocabulary takes 0.2 s to load and 60 MB, and a long text some time to count. The
 * thread is started when it is needed and ended when nobody has asked for a while.
 */
import { Worker } from 'node:worker_threads'
import { systemClock, type Timer } from '../clock.ts'
import { CageError } from '../errors.ts'
import { threadFile } from '../package-folder.ts'
import type { Count, Question } from './tokenizer-thread.ts'

/** Longer texts are estimated from their length: to count their tokens would take too long. */
export const MAX_COUNTED_BYTES = 262_144
/** The thread is ended when nobody has asked for so long, in ms. */
const IDLE_MS = 60_000

/** Tokens of a text; exact for OpenAI's models, near for others. Throws CageError `internal` when they cannot be counted. */
export async function countTokens(text: string, model: string): Promise<number> {
  if (text === '') return 0
  if (text.length > MAX_COUNTED_BYTES) return Math.ceil(Buffer.byteLength(text) / 4)
  running ??= new Tokenizer(() => {
    running = undefined
  })
  return running.count(text, model)
}

/** The one of this process. */
let running: Tokenizer | undefined

interface Asked {
  resolve: (tokens: number) => void
  reject: (error: CageError) => void
}

class Tokenizer {
  readonly #thread: Worker
  readonly #asked = new Map<number, Asked>()
  #ids = 0
  #timer: Timer | undefined

  constructor(onEnd: () => void) {
    this.#thread = new Worker(threadFile(new URL('./tokenizer-thread.ts', import.meta.url)), { env: {} })
    this.#thread.unref()
    const end = (cause: unknown) => {
      onEnd()
      for (const { reject } of this.#asked.values()) reject(failed(cause))
      this.#asked.clear()
    }
    this.#thread.on('message', (count: Count) => this.#counted(count)).on('error', end)
    this.#thread.once('exit', end)
  }

  count(text: string, model: string): Promise<number> {
    const id = this.#ids++
    this.#timer?.cancel()
    this.#timer = systemClock.after(IDLE_MS, () => void this.#thread.terminate()).unref()
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve, reject })
      this.#thread.postMessage({ id, text, model } satisfies Question)
    })
  }

  #counted({ id, tokens, error }: Count): void {
    const asked = this.#asked.get(id)
    this.#asked.delete(id)
    if (tokens === undefined) asked?.reject(failed(error))
    else asked?.resolve(tokens)
  }
}

const failed = (cause: unknown): CageError =>
  new CageError('internal', 'the tokens of a text could not be counted', { cause })
