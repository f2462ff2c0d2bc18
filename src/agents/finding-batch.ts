import type { Clock, Timer } from '../core/clock.ts'
import { Findings } from '../redaction/findings.ts'
import type { Finding } from '../redaction/text/match.ts'

/** Minimum time between two batches, in ms: each is a transaction with up to a hundred incidents. */
const INTERVAL_MS = 1_000

/** Batches findings in an agent's lines, so that they are recorded together. */
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

  /** Recorded in this turn of the event loop, or when the interval has passed. */
  add(findings: readonly Finding[]): void {
    if (findings.length === 0) return
    this.#findings.add(findings)
    const restMs = this.#recordedAt + INTERVAL_MS - this.#clock.monotonic()
    this.#timer ??= this.#clock.after(Math.max(0, restMs), () => this.flush())
  }

  /** Records the pending findings now. */
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
