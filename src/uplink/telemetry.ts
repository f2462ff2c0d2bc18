/**
 * Sends what happens on this runtime to its Control Panel. Nothing here is awaited by an agent or a call.
 *
 * The rules are:
 * - The cursor is the panel's: each start asks for it. So an event is stored on the panel once, however often it is sent.
 * - What happened before this runtime joined stays here. Who leaves and joins again is another runtime to the panel,
 *   and sends what happens from then on: nothing counts twice there, and no organization learns another one's time.
 * - A copy of a database that is in use elsewhere sends nothing: its events have the numbers of the others.
 * - Requests are of bounded size.
 * - Events that were pruned unsent, or are refused even alone, are reported as a gap.
 * - Lines of output stay here: they may contain agents' data.
 */
import { asCageError, CageError } from '../core/errors.ts'
import type { RuntimeEvent } from '../core/events.ts'
import type { TelemetryAnswer, TelemetryBatch } from '../protocol/telemetry-messages.ts'
import { Follower, type FollowerOptions, type Page } from '../state/follower.ts'
import { whenBack } from './when-back.ts'

const MAX_BYTES = 256 * 1024
/** How long the last batches may take when the runtime stops, in ms. */
const CLOSE_MS = 1_000

export interface TelemetryOptions extends Pick<FollowerOptions, 'state' | 'clock'> {
  /** The identity of this ledger. */
  journalId: string
  /** The last event before this runtime joined. (Default: 0.) */
  joinedSeq?: number | undefined
  /** Whether the panel refuses this database as a copy of one that another process uses. (Default: never.) */
  isCopy?: () => boolean
  /** Rejects with CageError. */
  send: (batch: TelemetryBatch, signal: AbortSignal) => Promise<TelemetryAnswer>
}

export class Telemetry {
  readonly #options: TelemetryOptions
  readonly #follower: Follower
  readonly #unsubscribe: () => void
  /** Of one batch; fewer while the panel refuses one of them. */
  #maxEvents = Number.POSITIVE_INFINITY

  constructor(options: TelemetryOptions) {
    this.#options = options
    const { state, clock } = options
    this.#follower = new Follower({
      state,
      clock,
      cursor: undefined,
      take: (page, signal) => this.#take(page, signal),
    })
    this.#unsubscribe = whenBack(state, this.#follower)
  }

  /** Sends the rest, if the panel takes it in time. */
  async close(): Promise<void> {
    await this.sendRest(CLOSE_MS)
  }

  /** The same within `ms`. Returns whether the panel has everything then. */
  sendRest(ms: number): Promise<boolean> {
    this.#unsubscribe()
    return this.#follower.close(ms)
  }

  /** Returns the last event that the panel has. Rejects like `send`. */
  async #take({ after, events: found, lost }: Page, signal: AbortSignal): Promise<number> {
    const { journalId: journal_id, joinedSeq = 0, isCopy } = this.#options
    if (isCopy?.()) throw new CageError('runtime_copied', 'events of a copy are not sent')
    // Also for a panel that has forgotten how far it was.
    if (after < joinedSeq) return this.#send({ journal_id, after, through: joinedSeq, lost: null, events: [] }, signal)
    const taken = takeBytes(found.slice(0, this.#maxEvents))
    const through = taken.at(-1)?.seq ?? after
    const batch = { journal_id, after, through, lost, events: taken.filter(travels) }
    try {
      const acked = await this.#send(batch, signal)
      this.#maxEvents = Number.POSITIVE_INFINITY
      return acked
    } catch (error) {
      const { code } = asCageError(error)
      if (taken.length === 0 || (code !== 'bad_request' && code !== 'body_too_large')) throw error
      // One event that the panel refuses must not hold back the others.
      if (taken.length === 1) {
        return this.#send({ ...batch, lost: { from: lost?.from ?? through, to: through }, events: [] }, signal)
      }
      this.#maxEvents = Math.floor(taken.length / 2)
      return this.#take({ after, events: found, lost }, signal)
    }
  }

  async #send(batch: TelemetryBatch, signal: AbortSignal): Promise<number> {
    const { acked_seq: acked } = await this.#options.send(batch, signal)
    if (!Number.isSafeInteger(acked) || acked < 0) throw new RangeError(`the panel confirmed ${acked}`)
    return acked
  }
}

/** As many of the events as fit into a batch, at least one. */
function takeBytes(events: readonly RuntimeEvent[]): RuntimeEvent[] {
  let bytes = 0
  const end = events.findIndex((event) => {
    bytes += travels(event) ? JSON.stringify(event).length : 0
    return bytes > MAX_BYTES
  })
  return events.slice(0, end === -1 ? events.length : Math.max(1, end))
}

const travels = ({ type }: RuntimeEvent): boolean => type !== 'agent.output'
