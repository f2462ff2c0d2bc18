/**
 * Sends what happens on this runtime to its Control Panel. Nothing here is awaited by an agent or a call.
 *
 * The rules are:
 * - The events table is the buffer, and the cursor is the panel's: each start asks for it. So nothing is copied, and an
 *   event is stored on the panel once, however often it is sent.
 * - One request at a time, of bounded size. After a failure the next one waits, twice as long each time.
 * - What was pruned unsent, or is refused even alone, is reported as a gap.
 * - Lines of output stay here: they may contain what agents read and write.
 */
import type { Clock, Timer } from '../clock.ts'
import { asCageError } from '../errors.ts'
import type { RuntimeEvent } from '../events.ts'
import type { StateManager } from '../state/state-manager.ts'
import type { TelemetryAnswer, TelemetryBatch } from '../telemetry-messages.ts'

/** Between two batches, and before the first attempt after a failure, in ms. */
const INTERVAL_MS = 1_000
const MAX_BACKOFF_MS = 60_000
const MAX_EVENTS = 500
const MAX_BYTES = 256 * 1024
/** How long the last batches may take when the runtime stops, in ms. */
const CLOSE_MS = 1_000

export interface TelemetryOptions {
  state: Pick<StateManager, 'findEvents' | 'subscribe'>
  clock: Clock
  /** The identity of this ledger. */
  journalId: string
  /** Rejects with CageError. */
  send: (batch: TelemetryBatch, signal: AbortSignal) => Promise<TelemetryAnswer>
}

export class Telemetry {
  readonly #options: TelemetryOptions
  readonly #abort = new AbortController()
  readonly #unsubscribe: () => void
  /** The last event that the panel has; undefined until it has answered. */
  #acked: number | undefined
  #maxEvents = MAX_EVENTS
  #failures = 0
  #timer: Timer | undefined
  #sending: Promise<void> | undefined

  constructor(options: TelemetryOptions) {
    this.#options = options
    // A panel that is back need not wait for the end of the back-off.
    this.#unsubscribe = options.state.subscribe(({ type }) => {
      if (type !== 'panel.connected') return
      this.#failures = 0
      this.#schedule(0)
    })
    this.#schedule(0)
  }

  /** Sends what is left, if the panel takes it in time. */
  async close(): Promise<void> {
    this.#unsubscribe()
    this.#timer?.cancel()
    const timer = this.#options.clock.after(CLOSE_MS, () => this.#abort.abort())
    await this.#sending
    if (this.#failures === 0) await this.#sendAll()
    timer.cancel()
    this.#abort.abort()
  }

  #schedule(ms: number): void {
    if (this.#abort.signal.aborted) return
    this.#timer?.cancel()
    this.#timer = this.#options.clock.after(ms, () => void this.#run()).unref()
  }

  async #run(): Promise<void> {
    if (this.#sending) return
    this.#sending = this.#sendAll()
    await this.#sending
    this.#sending = undefined
    this.#schedule(Math.min(MAX_BACKOFF_MS, INTERVAL_MS * 2 ** this.#failures))
  }

  /** Until the panel has everything, or does not take it. Never rejects. */
  async #sendAll(): Promise<void> {
    try {
      while (!this.#abort.signal.aborted) {
        const batch = this.#batch()
        if (!batch || !(await this.#sendOne(batch))) break
      }
    } catch {
      this.#failures += 1
    }
  }

  /** Returns whether the panel has more than before. Rejects like `send`. */
  async #sendOne(batch: TelemetryBatch): Promise<boolean> {
    const before = this.#acked
    try {
      const { acked_seq: acked } = await this.#options.send(batch, this.#abort.signal)
      if (!Number.isSafeInteger(acked) || acked < 0) throw new RangeError(`the panel confirmed ${acked}`)
      this.#acked = acked
      this.#maxEvents = MAX_EVENTS
      this.#failures = 0
      return before === undefined || acked > before
    } catch (error) {
      const { code } = asCageError(error)
      if (batch.through === batch.after || (code !== 'bad_request' && code !== 'body_too_large')) throw error
      // What one event has that the panel does not take must not keep back the others.
      if (batch.through === batch.after + 1) await this.#skip(batch)
      else this.#maxEvents = Math.max(1, Math.floor((batch.through - batch.after) / 2))
      return true
    }
  }

  async #skip({ after, through, ...batch }: TelemetryBatch): Promise<void> {
    const lost = { from: after + 1, to: through }
    const { acked_seq } = await this.#options.send({ ...batch, after, through, lost, events: [] }, this.#abort.signal)
    this.#acked = acked_seq
  }

  /** The next events; undefined if there are none. The first batch is empty: its answer is the cursor. */
  #batch(): TelemetryBatch | undefined {
    const { state, journalId: journal_id } = this.#options
    const after = this.#acked
    if (after === undefined) return { journal_id, after: 0, through: 0, lost: null, events: [] }
    const found = state.findEvents({ after, limit: this.#maxEvents })
    const [first] = found
    if (!first) return undefined
    const lost = first.seq > after + 1 ? { from: after + 1, to: first.seq - 1 } : null
    const taken = takeBytes(found)
    const events = taken.filter(({ type }) => type !== 'agent.output')
    return { journal_id, after, through: taken.at(-1)!.seq, lost, events }
  }
}

/** As many of the events as fit into a batch, at least one. */
function takeBytes(events: readonly RuntimeEvent[]): RuntimeEvent[] {
  let bytes = 0
  const end = events.findIndex((event) => {
    bytes += event.type === 'agent.output' ? 0 : JSON.stringify(event).length
    return bytes > MAX_BYTES
  })
  return events.slice(0, end === -1 ? events.length : Math.max(1, end))
}
