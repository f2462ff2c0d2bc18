/**
 * The audit: who did what, in one tamper-evident table. `chain.ts` writes it, `entries.ts` selects the events that belong
 * in it, `verify.ts` finds tampering, `anchor.ts` keeps its head outside the database.
 *
 * The rules are:
 * - Rows are only appended, numbered from 1 without gaps. Each holds the hash of the row before and its own: HMAC-SHA256
 *   over all fields, each prefixed with its length so that no two rows encode to the same bytes. The key is not in the
 *   database but in `<database>.audit-key`.
 * - The row of an event is written in the transaction of the event. An action of an admin is recorded
 *   before it is carried out: no row, no action (`append` throws).
 * - The head and the count are also in `<database>.audit-head`. Once the chain is found broken that file is frozen as
 *   evidence. The server continues and keeps appending; `verify` keeps failing.
 * - A person with the key file can forge the chain. An old database that is put back together with its old head file
 *   cannot be distinguished from the past. Exports kept elsewhere, and the head that is logged at each start, show it.
 */
import { type Clock, isoTime } from '../core/clock.ts'
import { CageError } from '../core/errors.ts'
import { isStorageFault } from '../db/storage-fault.ts'
import type { Store } from '../db/store.ts'
import type { AuditRow, AuditTable } from '../db/tables/audit.ts'
import type { MetaTable } from '../db/tables/meta.ts'
import { type Scrub, scrubTexts } from '../state/clean.ts'
import type { StateManager } from '../state/state-manager.ts'
import { Anchor } from './anchor.ts'
import { type Entry, entryOf } from './entries.ts'
import { auditHash, BEGINNING, type Head } from './hash.ts'
import { type Verdict, verifyChain, verifyTail } from './verify.ts'

export interface AuditOptions {
  store: Pick<Store, 'audit' | 'meta' | 'path' | 'transaction'>
  state: StateManager
  clock: Clock
  /** Redacts the text of rows. (Default: nothing is redacted.) */
  clean?: Scrub
  /** Called once when rows disappear while the server runs. */
  onBroken: (problem: string) => void
  /** Receives disk errors when the head file is written. */
  onFault: (error: unknown, what: string) => void
}

/** Marks that the audit has rows: a table that was emptied along with its files is not a new one. */
const BEGUN = 'audit.begun'
/** Rows that are verified at the start: some fifteen milliseconds. */
const TAIL_ROWS = 1_000

export class Audit {
  readonly #store: AuditOptions['store']
  readonly #table: AuditTable
  readonly #meta: MetaTable
  readonly #clock: Clock
  readonly #anchor: Anchor
  readonly #clean: Scrub | undefined
  readonly #onBroken: (problem: string) => void
  readonly #stop: () => void
  /** Result of verifying the last rows at the start. */
  readonly atStart: Verdict

  /** Verifies the end of the chain, then appends every event that belongs in it. Throws CageError `audit_broken`
   * when there are rows, or were some, and their key is gone. */
  constructor({ store, state, clock, clean, onBroken, onFault }: AuditOptions) {
    this.#store = store
    this.#table = store.audit
    this.#clock = clock
    this.#clean = clean
    this.#onBroken = onBroken
    this.#meta = store.meta
    const hasRows = this.#table.last() !== undefined
    const hasBegun = this.#meta.get(BEGUN) !== undefined
    if (hasRows && !hasBegun) this.#meta.put(BEGUN, '1')
    this.#anchor = Anchor.open(store.path, hasRows || hasBegun, { read: () => this.head, onFault, clock })
    this.atStart = verifyTail(this.#table, this.#anchor, TAIL_ROWS)
    if (!this.atStart.ok) this.#anchor.freeze()
    this.#stop = state.onPersist((event) => {
      const entry = entryOf(event)
      if (entry) this.#insert(entry, event.at)
    })
  }

  /** Number and hash of the last row; zeros when there is none. */
  get head(): Head {
    return this.#table.last() ?? BEGINNING
  }

  /** Appends a row synchronously. Throws CageError `database_unusable`: then the action must not be carried out. */
  append(entry: Entry): void {
    try {
      this.#store.transaction(() => this.#insert(entry, isoTime(this.#clock.now())))
    } catch (error) {
      if (!isStorageFault(error)) throw error
      throw new CageError('database_unusable', `the audit cannot be written, so ${entry.action} was not done`, {
        cause: error,
      })
    }
  }

  /** Verifies every row, in slices that yield to the event loop. */
  verify(): Promise<Verdict> {
    return verifyChain(this.#table, this.#anchor)
  }

  /** True for an unchanged row of this chain; only `verify` knows whether it is the last one. */
  isAsWritten(row: AuditRow): boolean {
    return row.hash.equals(auditHash(this.#anchor.key, row))
  }

  find(query: Parameters<AuditTable['find']>[0]): AuditRow[] {
    return this.#table.find(query)
  }

  /** Writes the head file for the last time. Call before the database is closed. */
  async close(): Promise<void> {
    this.#stop()
    await this.#anchor.close()
  }

  #insert(entry: Entry, at: string): void {
    const { role, actor, action, target = null, details = {} } = this.#clean ? scrubTexts(entry, this.#clean) : entry
    const { seq, hash: previous } = this.head
    const { seq: witnessed } = this.#anchor.witnessed ?? BEGINNING
    if (seq < witnessed && this.#anchor.freeze()) {
      // Not inside the current transaction.
      queueMicrotask(() => this.#onBroken(`rows ${seq + 1} to ${witnessed} have disappeared`))
    }
    const row = { seq: seq + 1, at, role, actor, action, target, details: JSON.stringify(details), previous }
    this.#table.insert({ ...row, hash: auditHash(this.#anchor.key, row) })
    if (seq === 0) this.#meta.put(BEGUN, '1')
    this.#anchor.moved()
  }
}
