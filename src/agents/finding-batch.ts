import type { Clock, Timer } from '../clock.ts'
import { Findings } from '../redaction/findings.ts'
import type { Finding } from '../redaction/match.ts'

/** Least time between two batches, in ms: each is a transaction with up to a hundred incidents. */
const INTERVAL_MS = 1_000

/** What is found in an agent's output, line by line, recorded together. */
export class FindingBatch {
  readonly #record: (findings: Findings) => void
  readonly #clock: Clock
  #findings = new Findings()
  #recordedAt = Number.NEGATIVE_INFINITY
  #timer: Timer | undefined

  constructor(record: (findings: Findings) => void, clock: Clock) {
    this.#record = record
    this.#clock = clock
  }

  /** Recorded in this turn of the event loop, or as soon as the interval is over. */
  add(findings: readonly Finding[]): void {
    if (findings.length === 0) return
    this.#findings.add(findings)
    const restMs = this.#recordedAt + INTERVAL_MS - this.#clock.monotonic()
    this.#timer ??= this.#clock.after(Math.max(0, restMs), () => this.flush())
  }

  /** Records what there is now. */
  flush(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    if (this.#findings.isEmpty) return
    const findings = this.#findings
    this.#findings = new Findings()
    this.#recordedAt = this.#clock.monotonic()
    this.#record(findings)
  }
}
