/** A runtime's reports of events to a Control Panel. */
import type { RuntimeEvent } from '../core/events.ts'

/** Events in the order of `seq`, each sent until the panel has confirmed it, so that it may arrive more than once. */
export interface TelemetryBatch {
  /** Identifies the ledger file whose events these are; a restored one has a new identity. */
  journal_id: string
  /** The last event that the panel has confirmed; 0 for none. */
  after: number
  /** The last event that this batch covers. Those between that are not in it stay on the runtime. */
  through: number
  /** Events that cannot be sent any more: pruned before they were, or refused by the panel. */
  lost: { from: number; to: number } | null
  events: RuntimeEvent[]
}

/** `acked_seq`: the last event that the panel has stored; what follows is to be sent next. */
export interface TelemetryAnswer {
  acked_seq: number
}
