/**
 * The reports of a sandbox's launcher: that the sandbox stands, or why not, then its refusals and observations.
 */
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import * as z from 'zod'

const STANDING = z.object({
  level: z.enum(['observe', 'standard', 'strict']),
  landlock_abi: z.number().int(),
  /** Only listed places can be connected to. */
  limited: z.boolean(),
  /** The server's files are hidden. */
  hidden: z.boolean(),
  /** The file that freezes all of its control group (1) and thaws it (0). */
  freezer: z.string().nullable(),
})
const ATTEMPT = z.object({
  action: z.enum(['connect', 'read', 'write']),
  target: z.string(),
  refused: z.boolean(),
  count: z.number().int().min(1),
})
const PLANTED = z.object({ planted: z.string(), aside: z.string() })
const LINE = z.union([
  z.object({ standing: STANDING, gateway_key: z.string().optional() }),
  z.object({ fault: z.string() }),
  PLANTED,
  ATTEMPT,
])

export type Standing = z.output<typeof STANDING> & {
  /** Proves the launcher's guard, which redirects connections; no process of the agent has it. */
  gatewayKey: string | undefined
}
/** An agent's attempt: `target` is a host with its port, or a path; `count` since the last report. */
export type Attempt = z.output<typeof ATTEMPT>
/** A file that an agent put where other programs look for code to run; it was moved to `aside`. */
export type Planted = z.output<typeof PLANTED>

export class Reports {
  /** Rejects with the launcher's reason when the sandbox could not be built. */
  readonly standing: Promise<Standing>
  /** Resolves when no more reports will come. */
  readonly ended: Promise<void>
  readonly #stream: Readable
  readonly #waiting: (Attempt | Planted)[] = []
  #onReport: ((report: Attempt | Planted) => void) | undefined

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
        if ('standing' in line) standing.resolve({ ...line.standing, gatewayKey: line.gateway_key })
        else if ('fault' in line) standing.reject(new Error(line.fault))
        else if (this.#onReport) this.#onReport(line)
        else this.#waiting.push(line)
      })
      .on('close', () => {
        standing.reject(new Error('the launcher exited without a report'))
        ended.resolve()
      })
    // Its rejection is handled where it is awaited.
    standing.promise.catch(() => {})
  }

  /** Calls with every report, including earlier ones. */
  listen(onReport: (report: Attempt | Planted) => void): void {
    this.#onReport = onReport
    for (const report of this.#waiting.splice(0)) onReport(report)
  }

  close(): void {
    this.#stream.destroy()
  }
}

/** An agent cannot write these lines; malformed ones are skipped all the same. */
function parse(text: string): z.output<typeof LINE> | undefined {
  try {
    return LINE.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}
