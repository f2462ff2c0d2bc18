/**
 * The shared state: one snapshot, changed only by events, and every event is a row first.
 *
 * The rules are:
 * - `record` writes the event's row (and what belongs to it, in the same transaction), then changes memory by
 *   `applyEvent`, then notifies the listeners; all in the order of `seq`, also when a listener records.
 * - What waits is written in one transaction: a commit costs more than the rows in it. `recordBatched` lets an event wait
 *   for those of the same turn of the event loop. One that cannot be written does not take its neighbours with it.
 * - An event records what has already happened, so it must not get lost: while the disk refuses, events wait in order and
 *   are tried again without blocking anyone. What must be refused when it cannot be written (a hold) does not come here.
 * - A listener that throws harms nobody else.
 */

import { type Clock, isoTime, type Timer } from '../clock.ts'
import type { EventQuery, EventTable } from '../db/events.ts'
import type { MetaTable } from '../db/meta.ts'
import { isStorageFault } from '../db/storage-fault.ts'
import type { Store } from '../db/store.ts'
import type { NewEvent, RuntimeEvent } from '../events.ts'
import type { AgentId } from '../ids.ts'
import { applyEvent } from './apply-event.ts'
import { type Scrub, scrubTexts } from './clean.ts'
import { PastAgents } from './past-agents.ts'
import { type AgentView, emptySnapshot, type Snapshot } from './snapshot.ts'

export type Listener = (event: RuntimeEvent) => void

interface Pending {
  event: NewEvent
  at: string
  alongside: (() => void) | undefined
  /** Receives a fault that is not the disk's. (Default: it is thrown.) */
  reject: ((error: unknown) => void) | undefined
}

/** Changes whenever an older stored snapshot cannot be continued: it is then rebuilt from the events. */
const SNAPSHOT_VERSION = 6
const SAVE_EVERY_EVENTS = 2_000
/** However young: agents that print without end fill no disk. */
const MAX_STORED_EVENTS = 1_000_000
/** Lines of output that wait for the disk; further ones are counted and lost. */
const OUTPUT_WAITING = 1_000
const RETRY_MS = 500
const REPLAY_PAGE = 5_000
const DAY_MS = 86_400_000

export interface StateOptions {
  store: Store
  clock: Clock
  /** How long events are kept; the ledger and the incidents stay. */
  retentionDays: number
  /** So many at most. (Default: a million.) */
  eventsKept?: number
  /** Receives faults of the disk and of listeners. */
  onFault: (error: unknown, what: string) => void
  /** Takes personal data out of every event before it is anywhere. (Default: nothing is taken out.) */
  clean?: Scrub
}

export class StateManager {
  readonly #options: StateOptions
  readonly #events: EventTable
  readonly #meta: MetaTable
  /** Those that the snapshot has no place for. */
  readonly pastAgents: PastAgents
  readonly #listeners = new Set<Listener>()
  readonly #writers = new Set<Listener>()
  readonly #pending: Pending[] = []
  #snapshot: Snapshot
  #savedSeq: number
  readonly #eventsKept: number
  /** Those who wait for the end of this turn of the event loop. */
  #turn: (() => void)[] = []
  #lostLines = 0
  #draining = false
  #retry: Timer | undefined

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

  /** The present state. Never changed in place: a reference stays what it was. */
  read(): Snapshot {
    return this.#snapshot
  }

  /** An agent, also one that the snapshot has no place for any more. */
  findAgent(id: AgentId): AgentView | undefined {
    const { agents } = this.#snapshot
    return Object.hasOwn(agents, id) ? agents[id] : this.pastAgents.get(id)
  }

  /** Server time in milliseconds since 1970. */
  now(): number {
    return this.#options.clock.now()
  }

  /** True while rows wait because the disk refuses them. */
  get isBehind(): boolean {
    return this.#retry !== undefined
  }

  /**
   * Records that something happened. `alongside` writes the rows that belong to the event, in its transaction.
   * Never throws for a fault of the disk.
   */
  record(event: NewEvent, alongside?: () => void): void {
    this.#enqueue(event, alongside)
    if (!this.#retry) this.#drain()
  }

  /** The same for several things that happened at once, in one transaction. */
  recordAll(happened: readonly { event: NewEvent; alongside?: () => void }[]): void {
    for (const { event, alongside } of happened) this.#enqueue(event, alongside)
    if (!this.#retry) this.#drain()
  }

  /**
   * The same at the end of this turn of the event loop, in one transaction with all else that happened in it. Resolves
   * when that was tried: as with `record`, a fault of the disk is nothing to whoever records.
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

  /** Stored events that are found at once: without a type or a level, or among few. */
  findEvents(query: EventQuery): RuntimeEvent[] {
    return this.#events.find(query)
  }

  /** Stored events, for pages of the log. */
  searchEvents(query: EventQuery): Promise<RuntimeEvent[]> {
    return this.#events.search(query)
  }

  /** Stored events of these types since an agent began, of everybody, newest first. */
  eventsSince(agentId: AgentId, types: ReadonlySet<string>): AsyncGenerator<RuntimeEvent[]> {
    return this.#events.newestFirst(types, (this.#events.firstOf(agentId) ?? this.#snapshot.seq + 1) - 1)
  }

  /** Writes what waits, saves the snapshot, and forgets its listeners. */
  close(): void {
    this.#stopRetry()
    this.#drain()
    this.#stopRetry()
    if (this.#pending.length === 0) this.#save()
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

  /** At the end of this turn, in one transaction with what other parts write in it. */
  #writeTogether(): void {
    let written: RuntimeEvent[] = []
    this.#options.store.groupCommit(
      () => {
        written = this.#retry ? [] : this.#insertFirst(this.#pending.length)
      },
      (error) => this.#endTurn(error === undefined ? written : []),
    )
  }

  /** `written`: the first that waited; what could not be written with others is tried by itself. */
  #endTurn(written: readonly RuntimeEvent[]): void {
    const waiting = this.#turn
    this.#turn = []
    this.#pending.splice(0, written.length)
    try {
      if (!this.#retry) this.#drain(written)
    } catch (error) {
      this.#options.onFault(error, 'an event that a listener recorded cannot be written')
    }
    for (const resolve of waiting) resolve()
  }

  /**
   * One loop for all: an event recorded by a listener waits its turn here, so that everyone sees the same order.
   * `written`: events whose rows are committed, and that no listener has seen. (Default: none.)
   */
  #drain(written: readonly RuntimeEvent[] = []): void {
    if (this.#draining) return
    this.#draining = true
    try {
      for (let events: readonly RuntimeEvent[] | undefined = written; ; ) {
        for (const event of events) {
          this.#snapshot = this.#apply(this.#snapshot, event)
          for (const listener of this.#listeners) this.#notify(listener, event)
        }
        if (this.#pending.length === 0) break
        events = this.#write(this.#pending.length)
        if (!events) return
      }
    } finally {
      this.#draining = false
    }
    if (this.#snapshot.seq - this.#savedSeq >= SAVE_EVERY_EVENTS) this.#save()
    if (this.#lostLines > 0) this.#tellLostLines()
  }

  #tellLostLines(): void {
    const text = `${this.#lostLines} lines of agents were lost: the disk took nothing, and too many waited for it`
    this.#lostLines = 0
    this.record({ type: 'agent.output', level: 'WARN', message: text, data: { stream: 'stderr', text } })
  }

  /** The first `count` of those that wait; undefined when the disk refuses, and then they wait on. */
  #write(count: number): RuntimeEvent[] | undefined {
    try {
      const written = this.#options.store.transaction(() => this.#insertFirst(count))
      this.#pending.splice(0, count)
      return written
    } catch (error) {
      if (isStorageFault(error)) {
        this.#options.onFault(error, `cannot write ${this.#pending[0]!.event.type}; trying again`)
        this.#retry = this.#options.clock.after(RETRY_MS, () => {
          this.#retry = undefined
          this.#drain()
        })
        return undefined
      }
      if (count > 1) return this.#write(1)
      const { reject } = this.#pending.shift()!
      if (!reject) throw error
      reject(error)
      return []
    }
  }

  #insertFirst(count: number): RuntimeEvent[] {
    const { seq } = this.#snapshot
    return this.#pending.slice(0, count).map((pending, index) => this.#insert(pending, seq + 1 + index))
  }

  #insert({ event, at, alongside }: Pending, seq: number): RuntimeEvent {
    const { agent_id = null, level, type, message, data } = event
    // In the order of its columns, so that a restarted server shows the same snapshot to the byte.
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
    // What it did not know of yet is empty.
    let state = { ...emptySnapshot(), ...(version === SNAPSHOT_VERSION && snapshot) }
    for (;;) {
      const page = this.#events.find({ after: state.seq, limit: REPLAY_PAGE })
      state = page.reduce((before, event) => this.#apply(before, event), state)
      if (page.length < REPLAY_PAGE) return state
    }
  }

  #save(): void {
    try {
      const retainFrom = isoTime(this.now() - this.#options.retentionDays * DAY_MS)
      this.#options.store.transaction(() => {
        this.#meta.put('snapshot', JSON.stringify({ version: SNAPSHOT_VERSION, snapshot: this.#snapshot }))
        this.pastAgents.write()
        // The last event stays: the next seq is counted from it.
        this.#events.prune(this.#snapshot.seq - 1, retainFrom)
        this.#events.pruneUpTo(this.#snapshot.seq - this.#eventsKept)
      })
      this.#savedSeq = this.#snapshot.seq
      this.pastAgents.written()
    } catch (error) {
      this.#options.onFault(error, 'cannot save the snapshot')
    }
  }
}
