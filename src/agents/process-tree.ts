/**
 * The processes of one agent: its group, its descendants, and (on Linux) those that carry its id in their environment
 * or its mark in their limits, so that `setsid` or a double fork does not escape. A process has ended when the process
 * table no longer shows it.
 */
import type { Clock } from '../core/clock.ts'
import { type ProcessRow, type ProcessTreeFacts, readProcessTree } from '../core/process-table.ts'

/** How long killed processes may take to leave the process table, in ms. */
const GONE_MS = 5_000
/** Interval between two reads of the process table; doubles from the first to the last. */
const FIRST_POLL_MS = 20
const MAX_POLL_MS = 160

export class ProcessTree {
  readonly #facts: ProcessTreeFacts
  /** pid → start time: a child stays known when its parent dies and it is reparented. */
  readonly #seen = new Map<number, string>()
  #members: ProcessRow[] = []

  constructor(facts: ProcessTreeFacts) {
    this.#facts = facts
  }

  /**
   * Sends SIGINT to all, SIGTERM after half of `graceMs` and SIGKILL at its end. Resolves when the process table shows none
   * of them, or five seconds after the SIGKILL, with the pids that survived. `isOrphaned`: the first process has ended, so
   * that SIGTERM comes at once. (Default: false.)
   */
  async end(graceMs: number, clock: Clock, isOrphaned = false): Promise<number[]> {
    const killAt = clock.monotonic() + graceMs
    let terminateAt = isOrphaned || graceMs === 0 ? Number.POSITIVE_INFINITY : killAt - graceMs / 2
    let giveUpAt = Number.POSITIVE_INFINITY
    let pollMs = FIRST_POLL_MS
    await this.refresh()
    // SIGINT makes Python run `finally` and `atexit`, as Ctrl-C does.
    if (graceMs > 0) this.signal(isOrphaned ? 'SIGTERM' : 'SIGINT')
    // A paused process handles a signal only once it continues.
    this.signal('SIGCONT')
    while (this.#members.length > 0 && clock.monotonic() < giveUpAt) {
      if (clock.monotonic() >= terminateAt) {
        terminateAt = Number.POSITIVE_INFINITY
        this.signal('SIGTERM')
      }
      if (clock.monotonic() >= killAt) {
        // At every read, since a member may have forked before it died.
        this.signal('SIGKILL')
        giveUpAt = Math.min(giveUpAt, clock.monotonic() + GONE_MS)
      }
      await clock.sleep(pollMs)
      pollMs = Math.min(pollMs * 2, MAX_POLL_MS)
      await this.refresh()
    }
    return this.#members.map(({ pid }) => pid)
  }

  /** Reads the process table again. */
  async refresh(): Promise<void> {
    this.#members = await readProcessTree(this.#facts, this.#seen)
    for (const { pid, started } of this.#members) this.#seen.set(pid, started)
  }

  /** Signals the group atomically, so that no member forks away meanwhile; then the members that left the group. */
  signal(signal: NodeJS.Signals): void {
    const { group } = this.#facts
    const isInGroup = ({ pgid }: ProcessRow) => pgid === group
    if (group !== undefined && this.#members.some(isInGroup)) sendSignal(-group, signal)
    for (const row of this.#members) if (!isInGroup(row)) sendSignal(row.pid, signal)
  }
}

/** A negative pid means a group. */
export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended meanwhile, or belongs to another user: the process table decides.
  }
}
