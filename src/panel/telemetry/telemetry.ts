/**
 * The agents of all machines, folded from what runtimes reported with the function that the runtimes use themselves. A
 * state is folded when it is requested, on whichever process of the panel, and kept now and then so that others
 * continue from there.
 */
import type { RuntimeEvent } from '../../core/events.ts'
import type { TelemetryAnswer, TelemetryBatch } from '../../protocol/telemetry-messages.ts'
import { applyEvent } from '../../state/apply-event.ts'
import { emptySnapshot, type Snapshot } from '../../state/snapshot.ts'
import type { PanelDatabase } from '../db/database.ts'
import { type StoredTelemetry, TelemetryStore } from './telemetry-store.ts'

/** Events read at a time, and of how many runtimes. */
const PAGE = 5_000
const RUNTIMES_AT_ONCE = 200
/** A state that has so many events more than the kept one is kept. */
const KEEP_EVERY_EVENTS = 2_000
/** How long events are stored that a kept state includes, in ms. */
const RETENTION_MS = 7 * 24 * 3_600_000
/** How long incidents are stored, in ms. */
const INCIDENTS_MS = 90 * 24 * 3_600_000

interface Folded {
  journalId: string
  /** As when it was folded. */
  erasures: number
  snapshot: Snapshot
}

export interface RuntimeState {
  snapshot: Snapshot
  /** Events that the runtime could not send any more. */
  lost: number
}

export class PanelTelemetry {
  readonly store: TelemetryStore
  readonly #folded = new Map<string, Folded>()

  constructor(database: PanelDatabase) {
    this.store = new TelemetryStore(database)
  }

  /** As the store; a state that was folded up to there continues with these events, which need not be read again then. */
  async take(organizationId: string, runtimeId: string, batch: TelemetryBatch): Promise<TelemetryAnswer> {
    const answer = await this.store.take(organizationId, runtimeId, batch)
    const folded = this.#folded.get(runtimeId)
    const { journal_id: journalId, after, through, events } = batch
    if (folded?.journalId === journalId && folded.snapshot.seq === after && answer.acked_seq === through) {
      const fresh = events.filter(({ seq }) => seq > after && seq <= through)
      const snapshot = { ...fresh.reduce(applySafely, folded.snapshot), seq: through }
      this.#folded.set(runtimeId, { ...folded, snapshot })
    }
    return answer
  }

  /** The state of each runtime that has reported, by its id. */
  async states(organizationId: string): Promise<Map<string, RuntimeState>> {
    const cursors = await this.store.cursors(organizationId)
    for (let at = 0; at < cursors.length; at += RUNTIMES_AT_ONCE) {
      await this.#fold(organizationId, cursors.slice(at, at + RUNTIMES_AT_ONCE))
    }
    return new Map(cursors.map(({ runtime_id: id, lost }) => [id, { snapshot: this.#folded.get(id)!.snapshot, lost }]))
  }

  /** Deletes old events; their totals stay. */
  async prune(organizationIds: readonly string[]): Promise<void> {
    for (const id of organizationIds) {
      for (const cursor of await this.store.cursors(id)) {
        await this.#fold(id, [cursor])
        await this.store.keep(id, cursor, this.#folded.get(cursor.runtime_id)!.snapshot)
      }
    }
    await this.store.prune({ eventsMs: RETENTION_MS, incidentsMs: INCIDENTS_MS })
  }

  async #fold(organizationId: string, cursors: readonly StoredTelemetry[]): Promise<void> {
    for (const cursor of cursors) {
      if (!this.#foldedOf(cursor)) this.#remember(cursor, keptSnapshot(cursor))
    }
    for (let behind = cursors; ; ) {
      behind = behind.filter((cursor) => (this.#foldedOf(cursor)?.seq ?? cursor.acked_seq) < cursor.acked_seq)
      if (behind.length === 0) break
      const places = behind.map((cursor) => ({ ...cursor, after: this.#foldedOf(cursor)!.seq }))
      const found = await this.store.eventsOfAll(organizationId, places, PAGE)
      const read = [...found.values()].reduce((sum, { length }) => sum + length, 0)
      for (const cursor of behind) this.#apply(cursor, found.get(cursor.runtime_id) ?? [], read < PAGE)
    }
    for (const cursor of cursors) {
      const snapshot = this.#foldedOf(cursor)
      if (snapshot && snapshot.seq - cursor.folded_seq >= KEEP_EVERY_EVENTS) {
        await this.store.keep(organizationId, cursor, snapshot)
      }
    }
  }

  /** Somebody else may have applied some of them meanwhile. `isWhole`: there are no more. */
  #apply(cursor: StoredTelemetry, events: readonly RuntimeEvent[], isWhole: boolean): void {
    const before = this.#foldedOf(cursor)
    if (!before) return
    const folded = events.filter(({ seq }) => seq > before.seq).reduce(applySafely, before)
    // What stayed on the runtime has numbers too.
    const snapshot = isWhole ? { ...folded, seq: Math.max(folded.seq, cursor.acked_seq) } : folded
    this.#remember(cursor, snapshot)
  }

  #remember({ runtime_id: id, journal_id: journalId, erasures }: StoredTelemetry, snapshot: Snapshot): void {
    this.#folded.set(id, { journalId, erasures, snapshot })
  }

  /** Undefined until it was folded, for another ledger, and since a person was erased. */
  #foldedOf({ runtime_id: id, journal_id: journalId, erasures }: StoredTelemetry): Snapshot | undefined {
    const known = this.#folded.get(id)
    return known?.journalId === journalId && known.erasures === erasures ? known.snapshot : undefined
  }
}

const keptSnapshot = ({ snapshot }: StoredTelemetry): Snapshot =>
  snapshot === null ? emptySnapshot() : { ...emptySnapshot(), ...(JSON.parse(snapshot) as Snapshot) }

/** A runtime may be of another version, or broken: what cannot be applied is left out. The last events are not kept. */
function applySafely(snapshot: Snapshot, event: RuntimeEvent): Snapshot {
  try {
    return { ...applyEvent(snapshot, event), recent: [] }
  } catch {
    return { ...snapshot, seq: event.seq }
  }
}
