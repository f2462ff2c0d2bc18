/**
 * The shared state: one snapshot, changed only by events, and every event is stored first.
 *
 * The rules are:
 * - `record` writes the event's row (and what belongs to it, in the same transaction), then changes memory by
 *   `applyEvent`, then notifies the listeners; all in the order of `seq`, even when a listener records.
 * - Pending events are written in one transaction: a commit costs more than the rows in it. `recordBatched` lets an
 *   event wait for others of the same turn of the event loop, and callers that wait for its commit go on before memory
 *   changes: no answer waits for listeners. `read` shows every committed event all the same. An event that cannot be
 *   written does not affect the others.
 * - An event records a fact, so it must not get lost: during disk errors events stay queued in order and are retried
 *   without blocking. What must fail when it cannot be written (a hold) is not written here.
 * - A listener that throws does not affect the others.
 */

import { type Clock, isoTime, type Timer } from '../core/clock.ts'
import type { NewEvent, RuntimeEvent } from '../core/events.ts'
import type { AgentId } from '../core/ids.ts'
import { isStorageFault } from '../db/storage-fault.ts'
import type { Store } from '../db/store.ts'
import type { EventQuery, EventTable } from '../db/tables/events.ts'
import type { MetaTable } from '../db/tables/meta.ts'
import { applyEvent } from './apply-event.ts'
import { type Scrub, scrubTexts } from './clean.ts'
import { PastAgents } from './past-agents.ts'
import { type AgentView, emptySnapshot, type Snapshot } from './snapshot.ts'

export type Listener = (event: RuntimeEvent) => void

interface Pending {
  event: NewEvent
  at: string
  alongside: (() => void) | undefined
  /** Receives errors other than disk errors. (Default: they are thrown.) */
  reject: ((error: unknown) => void) | undefined
}

/** Bumped when older stored snapshots cannot be continued: they are then rebuilt from the events. */
const SNAPSHOT_VERSION = 6
const SAVE_EVERY_EVENTS = 2_000
/** Whatever their age: agents that print without end must not fill the disk. */
const MAX_STORED_EVENTS = 1_000_000
/** Lines of output that may wait for the disk; further ones are counted and lost. */
const OUTPUT_WAITING = 1_000
const RETRY_MS = 500
const PRUNE_PAUSE_MS = 50
const REPLAY_PAGE = 5_000
const DAY_MS = 86_400_000

export interface StateOptions {
  store: Store
  clock: Clock
  /** How long events are kept; the ledger and the incidents stay. */
  retentionDays: number
  /** Maximum number of events. (Default: a million.) */
  eventsKept?: number
  /** Receives errors of the disk and of listeners. */
  onFault: (error: unknown, what: string) => void
  /** Redacts personal data in every event before it is stored or shown. (Default: not redacted.) */
  clean?: Scrub
}

export class StateManager {
  readonly #options: StateOptions
  readonly #events: EventTable
  readonly #meta: MetaTable
  /** Agents that do not fit into the snapshot. */
  readonly pastAgents: PastAgents
  readonly #listeners = new Set<Listener>()
  readonly #writers = new Set<Listener>()
  readonly #pending: Pending[] = []
  /** Their rows are committed; no listener has seen them. */
  readonly #committed: RuntimeEvent[] = []
  #snapshot: Snapshot
  #savedSeq: number
  readonly #eventsKept: number
  /** Callbacks for the end of this turn of the event loop. */
  #turn: (() => void)[] = []
  #lostLines = 0
  #draining = false
  #retry: Timer | undefined
  #pruning: Timer | undefined

  /** Rebuilds the state from the rows. */
  constructor(options: StateOptions) {
    this.#options = options
    this.#eventsKept = options.eventsKept ?? MAX_STORED_EVENTS
    this.#events = options.store.events
    this.#meta = options.store.meta
    this.pastAgents = new PastAgents(options.store)
    this.#snapshot = this.#load()
    this.#savedSeq = this.#snapshot.seq
  }

  /**
   * The current snapshot, after listeners have seen its events. Never changed in place: a reference keeps its content.
   */
  read(): Snapshot {
    this.#showCommitted()
    return this.#snapshot
  }

  /** An agent, including one that no longer fits into the snapshot. */
  findAgent(id: AgentId): AgentView | undefined {
    const { agents } = this.read()
    return Object.hasOwn(agents, id) ? agents[id] : this.pastAgents.get(id)
  }

  /** Server time in milliseconds since 1970. */
  now(): number {
    return this.#options.clock.now()
  }

  /** True while rows wait because of disk errors. */
  get isBehind(): boolean {
    return this.#retry !== undefined
  }

  /**
   * Records that something happened. `alongside` writes the rows that belong to the event, in its transaction, and reads
   * no state.
   * Does not throw disk errors.
   */
  record(event: NewEvent, alongside?: () => void): void {
    this.#enqueue(event, alongside)
    if (!this.#retry) this.#drain()
  }

  /** The same for several simultaneous events, in one transaction. */
  recordAll(happened: readonly { event: NewEvent; alongside?: () => void }[]): void {
    for (const { event, alongside } of happened) this.#enqueue(event, alongside)
    if (!this.#retry) this.#drain()
  }

  /**
   * The same at the end of this turn of the event loop, in one transaction with everything else recorded in it.
   * Resolves after the attempt: as with `record`, disk errors are not reported to the caller.
   */
  recordBatched(event: NewEvent, alongside?: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#enqueue(event, alongside, reject)
      if (this.#turn.push(resolve) === 1) this.#writeTogether()
    })
  }

  /** Calls `listener` after each event, in order. Returns an unsubscribe function. */
  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Calls `write` with each event in the transaction that stores it, to write rows of its own: when it throws, nothing
   * is stored. Returns an unsubscribe function.
   */
  onPersist(write: Listener): () => void {
    this.#writers.add(write)
    return () => this.#writers.delete(write)
  }

  /** Stored events, for queries that are fast: without a type or a level, or among few. */
  findEvents(query: EventQuery): RuntimeEvent[] {
    return this.#events.find(query)
  }

  /** Stored events, for pages of the log. */
  searchEvents(query: EventQuery): Promise<RuntimeEvent[]> {
    return this.#events.search(query)
  }

  /** Stored events of these types since an agent started, of all agents, newest first. */
  eventsSince(agentId: AgentId, types: ReadonlySet<string>): AsyncGenerator<RuntimeEvent[]> {
    return this.#events.newestFirst(types, (this.#events.firstOf(agentId) ?? this.read().seq + 1) - 1)
  }

  /** Writes pending events, saves the snapshot, and removes all listeners. */
  close(): void {
    this.#stopRetry()
    this.#drain()
    this.#stopRetry()
    if (this.#pending.length === 0) this.#save()
    this.#pruning?.cancel()
    this.#listeners.clear()
  }

  #stopRetry(): void {
    this.#retry?.cancel()
    this.#retry = undefined
  }

  #enqueue(event: NewEvent, alongside: (() => void) | undefined, reject?: (error: unknown) => void): void {
    if (event.type === 'agent.output' && this.#pending.length >= OUTPUT_WAITING) {
      this.#lostLines += 1
      return
    }
    const { clean } = this.#options
    const safe = clean ? { ...event, ...scrubTexts({ message: event.message, data: event.data }, clean) } : event
    this.#pending.push({ event: safe as NewEvent, at: isoTime(this.now()), alongside, reject })
  }

  /** At the end of this turn, in one transaction with the writes of other parts. */
  #writeTogether(): void {
    let written: RuntimeEvent[] = []
    this.#options.store.groupCommit(
      () => {
        written = this.#retry ? [] : this.#insertFirst(this.#pending.length)
      },
      (error) => this.#endTurn(error === undefined ? written : []),
    )
  }

  /** `written`: the committed ones, which come first; the others are retried one by one. */
  #endTurn(written: readonly RuntimeEvent[]): void {
    const waiting = this.#turn
    this.#turn = []
    this.#taken(written)
    if (this.#pending.length > 0 && !this.#retry) this.#drainSafely()
    for (const resolve of waiting) resolve()
    if (this.#committed.length > 0) setImmediate(() => this.#showCommitted())
  }

  #drainSafely(): void {
    try {
      this.#drain()
    } catch (error) {
      this.#options.onFault(error, 'an event that a listener recorded cannot be written')
    }
  }

  /** Changes memory and notifies the listeners; not what waits for the end of this turn. */
  #showCommitted(): void {
    if (this.#draining || this.#committed.length === 0) return
    const waiting = this.#pending.length
    this.#draining = true
    try {
      this.#applyCommitted()
    } catch (error) {
      this.#options.onFault(error, 'an event is stored but not shown; trying again with the next one')
    } finally {
      this.#draining = false
    }
    if (this.#pending.length > waiting && !this.#retry) this.#drainSafely()
    else this.#afterDrain()
  }

  #applyCommitted(): void {
    for (let [event] = this.#committed; event; [event] = this.#committed) {
      this.#snapshot = this.#apply(this.#snapshot, event)
      this.#committed.shift()
      for (const listener of this.#listeners) this.#notify(listener, event)
    }
  }

  /** The first pending events are committed. */
  #taken(written: readonly RuntimeEvent[]): void {
    this.#pending.splice(0, written.length)
    this.#committed.push(...written)
  }

  /**
   * A single loop: an event recorded by a listener is queued here, so that all listeners see the same order.
   */
  #drain(): void {
    if (this.#draining) return
    this.#draining = true
    try {
      for (;;) {
        this.#applyCommitted()
        if (this.#pending.length === 0) break
        if (!this.#write(this.#pending.length)) return
      }
    } finally {
      this.#draining = false
    }
    this.#afterDrain()
  }

  #afterDrain(): void {
    if (this.#snapshot.seq - this.#savedSeq >= SAVE_EVERY_EVENTS) this.#save()
    if (this.#lostLines > 0) this.#recordLostLines()
  }

  #recordLostLines(): void {
    const text = `${this.#lostLines} lines of agent output were lost: the disk could not be written and the queue was full`
    this.#lostLines = 0
    this.record({ type: 'agent.output', level: 'WARN', message: text, data: { stream: 'stderr', text } })
  }

  /** Writes the first `count` pending events. Returns false on a disk error, and then they stay pending. */
  #write(count: number): boolean {
    try {
      this.#taken(this.#options.store.transaction(() => this.#insertFirst(count)))
      return true
    } catch (error) {
      if (isStorageFault(error)) {
        this.#options.onFault(error, `cannot write ${this.#pending[0]!.event.type}; trying again`)
        this.#retry = this.#options.clock.after(RETRY_MS, () => {
          this.#retry = undefined
          this.#drain()
        })
        return false
      }
      if (count > 1) return this.#write(1)
      const { reject } = this.#pending.shift()!
      if (!reject) throw error
      reject(error)
      return true
    }
  }

  #insertFirst(count: number): RuntimeEvent[] {
    const next = this.#snapshot.seq + this.#committed.length + 1
    return this.#pending.slice(0, count).map((pending, index) => this.#insert(pending, next + index))
  }

  #insert({ event, at, alongside }: Pending, seq: number): RuntimeEvent {
    const { agent_id = null, level, type, message, data } = event
    // In the order of its columns, so that a restarted server's snapshot is identical to the byte.
    const written = { seq, at, agent_id, level, type, message, data } as RuntimeEvent
    this.#events.insert(written)
    alongside?.()
    for (const write of this.#writers) write(written)
    return written
  }

  #apply(before: Snapshot, event: RuntimeEvent): Snapshot {
    const after = applyEvent(before, event)
    if (after.agents !== before.agents || event.agent_id !== null) this.pastAgents.note(before, after, event)
    return after
  }

  #notify(listener: Listener, event: RuntimeEvent): void {
    try {
      listener(event)
    } catch (error) {
      this.#options.onFault(error, `a listener failed at ${event.type}`)
    }
  }

  #load(): Snapshot {
    const stored = this.#meta.get('snapshot')
    const { version, snapshot } = stored
      ? (JSON.parse(stored) as { version: number; snapshot: Snapshot })
      : { version: 0, snapshot: emptySnapshot() }
    // Parts that an older snapshot does not have start empty.
    let state = { ...emptySnapshot(), ...(version === SNAPSHOT_VERSION && snapshot) }
    for (;;) {
      const page = this.#events.find({ after: state.seq, limit: REPLAY_PAGE })
      state = page.reduce((before, event) => this.#apply(before, event), state)
      if (page.length < REPLAY_PAGE) return state
    }
  }

  #save(): void {
    try {
      this.#options.store.transaction(() => {
        this.#meta.put('snapshot', JSON.stringify({ version: SNAPSHOT_VERSION, snapshot: this.#snapshot }))
        this.pastAgents.write()
      })
      this.#savedSeq = this.#snapshot.seq
      this.pastAgents.written()
    } catch (error) {
      this.#options.onFault(error, 'cannot save the snapshot')
    }
    this.#prune()
  }

  /** Deletes old events, some at a time, since no other request is answered meanwhile. */
  #prune(): void {
    this.#pruning?.cancel()
    const at = isoTime(this.now() - this.#options.retentionDays * DAY_MS)
    // The last event stays, since the next seq continues from it, and those that the saved snapshot does not know.
    const last = Math.min(this.#savedSeq, this.#snapshot.seq - 1)
    try {
      if (!this.#events.prune({ last, at, full: this.#snapshot.seq - this.#eventsKept })) return
      this.#pruning = this.#options.clock.after(PRUNE_PAUSE_MS, () => this.#prune()).unref()
    } catch (error) {
      this.#options.onFault(error, 'cannot delete old events')
    }
  }
}
