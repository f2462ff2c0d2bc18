/** Turns a flood of findings into a few alerts and one digest of the rest. */
import type { Clock, Timer } from '../core/clock.ts'
import type { EventOf, PiiType } from '../core/events.ts'

/** Findings of one agent within WINDOW_MS that get a separate alert. */
const SINGLE_ALERTS = 10
const WINDOW_MS = 60_000

export interface Digest {
  /** Findings by type. */
  counts: Map<PiiType, number>
  /** Length of the window in seconds. */
  seconds: number
  last: EventOf<'pii.found'>
}

/** The findings of one agent in the WINDOW_MS after the first. */
interface Window {
  startedAt: number
  single: number
  counts: Map<PiiType, number>
  last: EventOf<'pii.found'>
  timer?: Timer
}

export class AlertThrottle {
  readonly #clock: Clock
  readonly #raise: (digest: Digest) => void
  readonly #windows = new Map<string | null, Window>()

  constructor(clock: Clock, raise: (digest: Digest) => void) {
    this.#clock = clock
    this.#raise = raise
  }

  /** Returns true when the finding goes into a digest, false when it gets a separate alert. */
  takes(finding: EventOf<'pii.found'>): boolean {
    const window = this.#window(finding)
    if (window.single < SINGLE_ALERTS) {
      window.single++
      return false
    }
    const { pii_type, count = 1 } = finding.data
    window.counts.set(pii_type, (window.counts.get(pii_type) ?? 0) + count)
    window.last = finding
    if (!window.timer) {
      const leftMs = Math.max(0, window.startedAt + WINDOW_MS - this.#clock.monotonic())
      window.timer = this.#clock.after(leftMs, () => this.#end(finding.agent_id)).unref()
    }
    return true
  }

  /** Raises all open digests. */
  close(): void {
    for (const agentId of [...this.#windows.keys()]) this.#end(agentId)
  }

  #window(finding: EventOf<'pii.found'>): Window {
    const now = this.#clock.monotonic()
    const open = this.#windows.get(finding.agent_id)
    // A window with a timer is open until its digest is raised.
    if (open && (open.timer || now - open.startedAt < WINDOW_MS)) return open
    const window: Window = { startedAt: now, single: 0, counts: new Map(), last: finding }
    this.#windows.set(finding.agent_id, window)
    return window
  }

  #end(agentId: string | null): void {
    const window = this.#windows.get(agentId)
    this.#windows.delete(agentId)
    window?.timer?.cancel()
    if (!window?.timer) return
    const seconds = Math.max(1, Math.round((this.#clock.monotonic() - window.startedAt) / 1000))
    this.#raise({ counts: window.counts, seconds, last: window.last })
  }
}
