/**
 * The agents of all machines, folded from what runtimes reported with the function that the runtimes use themselves. A
 * state is folded when somebody looks, on whichever process of the panel, and kept now and then so that others continue
 * from there.
 */
import type { RuntimeEvent } from '../events.ts'
import { applyEvent } from '../state/apply-event.ts'
import { emptySnapshot, type Snapshot } from '../state/snapshot.ts'
import type { PanelDatabase } from './db/database.ts'
import { type StoredTelemetry, TelemetryStore } from './db/telemetry-store.ts'

const PAGE = 1_000
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

  /** The state of each runtime that has reported, by its id. */
  async states(organizationId: string): Promise<Map<string, RuntimeState>> {
    const cursors = await this.store.cursors(organizationId)
    const states = new Map<string, RuntimeState>()
    for (const cursor of cursors) {
      const snapshot = await this.#fold(organizationId, cursor)
      states.set(cursor.runtime_id, { snapshot, lost: cursor.lost })
    }
    return states
  }

  /** Deletes old events; what they led to stays. */
  async prune(organizationIds: readonly string[]): Promise<void> {
    for (const id of organizationIds) {
      for (const cursor of await this.store.cursors(id)) {
        await this.store.keep(id, cursor, await this.#fold(id, cursor))
      }
    }
    await this.store.prune(RETENTION_MS, INCIDENTS_MS)
  }

  async #fold(organizationId: string, cursor: StoredTelemetry): Promise<Snapshot> {
    const { runtime_id: id, journal_id: journalId, erasures, acked_seq, folded_seq } = cursor
    const known = this.#folded.get(id)
    const isUsable = known?.journalId === journalId && known.erasures === erasures
    let snapshot = isUsable ? known.snapshot : keptSnapshot(cursor)
    while (snapshot.seq < acked_seq) {
      const events = await this.store.events(organizationId, cursor, snapshot.seq, PAGE)
      snapshot = events.reduce(applySafely, snapshot)
      // What stayed on the runtime has numbers too.
      if (events.length < PAGE) snapshot = { ...snapshot, seq: Math.max(snapshot.seq, acked_seq) }
    }
    this.#folded.set(id, { journalId, erasures, snapshot })
    if (snapshot.seq - folded_seq >= KEEP_EVERY_EVENTS) await this.store.keep(organizationId, cursor, snapshot)
    return snapshot
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
