/** What the launcher of a cage says: that its walls stand, or why not, then what was refused or would have been. */
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import * as z from 'zod'

const STANDING = z.object({
  level: z.enum(['observe', 'standard', 'strict']),
  landlock_abi: z.number().int(),
  /** Only listed places can be connected to. */
  limited: z.boolean(),
  /** Files of the server are hidden. */
  hidden: z.boolean(),
})
const ATTEMPT = z.object({
  action: z.enum(['connect', 'read', 'write']),
  target: z.string(),
  refused: z.boolean(),
  count: z.number().int().min(1),
})
const LINE = z.union([z.object({ standing: STANDING }), z.object({ fault: z.string() }), ATTEMPT])

export type Standing = z.output<typeof STANDING>
/** What an agent tried: `target` is a host with its port, or a path; `count`: so many times since the last report. */
export type Attempt = z.output<typeof ATTEMPT>

export class Reports {
  /** Rejects with the launcher's reason when the walls could not be built. */
  readonly standing: Promise<Standing>
  /** When nothing more will come. */
  readonly ended: Promise<void>
  readonly #stream: Readable
  readonly #waiting: Attempt[] = []
  #onAttempt: ((attempt: Attempt) => void) | undefined

  constructor(stream: Readable) {
    this.#stream = stream
    const standing = Promise.withResolvers<Standing>()
    const ended = Promise.withResolvers<void>()
    this.standing = standing.promise
    this.ended = ended.promise
    stream.on('error', () => {})
    createInterface(stream)
      .on('line', (text) => {
        const line = parse(text)
        if (line === undefined) return
        if ('standing' in line) standing.resolve(line.standing)
        else if ('fault' in line) standing.reject(new Error(line.fault))
        else if (this.#onAttempt) this.#onAttempt(line)
        else this.#waiting.push(line)
      })
      .on('close', () => {
        standing.reject(new Error('the launcher ended without a word'))
        ended.resolve()
      })
    // Whoever waits for it hears of it.
    standing.promise.catch(() => {})
  }

  /** Calls with every attempt, also those that came before. */
  listen(onAttempt: (attempt: Attempt) => void): void {
    this.#onAttempt = onAttempt
    for (const attempt of this.#waiting.splice(0)) onAttempt(attempt)
  }

  close(): void {
    this.#stream.destroy()
  }
}

/** An agent has no hand in these lines; one that is none is left out all the same. */
function parse(text: string): z.output<typeof LINE> | undefined {
  try {
    return LINE.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}
