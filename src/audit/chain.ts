/**
 * The audit: who did what, in one table that nobody can quietly edit. `chain.ts` writes it, `entries.ts` says which
 * events belong into it, `verify.ts` finds what was done to it, `anchor.ts` keeps its head outside the database.
 *
 * The rules are:
 * - Rows are only ever appended, numbered from 1 without a gap. Each holds the hash of the one before and an own hash:
 *   HMAC-SHA256 with a key that is not in the database (`<database>.audit-key`), over all fields, each with its length
 *   before it, so that no two rows give the same bytes.
 * - The row of an event is written in the transaction of the event. What an admin asks for is written before it is done:
 *   no row, no action (`append` throws).
 * - The head and the count are also in `<database>.audit-head`. Once the chain was found broken that file stays as it
 *   is: it is the evidence. The server goes on and goes on appending; `verify` keeps failing.
 * - Whoever holds the key file can forge the chain, and whoever puts back an old database together with its old head
 *   file cannot be distinguished from the past. Exports kept elsewhere, and the head that is logged at each start, show it.
 */
import { type Clock, isoTime } from '../clock.ts'
import type { AuditRow, AuditTable } from '../db/audit.ts'
import type { MetaTable } from '../db/meta.ts'
import { isStorageFault } from '../db/storage-fault.ts'
import type { Store } from '../db/store.ts'
import { CageError } from '../errors.ts'
import { type Scrub, scrubTexts } from '../state/clean.ts'
import type { StateManager } from '../state/state-manager.ts'
import { Anchor } from './anchor.ts'
import { type Entry, entryOf } from './entries.ts'
import { BEGINNING, type Head, hashOf } from './hash.ts'
import { type Verdict, verifyChain, verifyTail } from './verify.ts'

export interface AuditOptions {
  store: Pick<Store, 'audit' | 'meta' | 'path' | 'transaction'>
  state: StateManager
  clock: Clock
  /** Takes personal data out of what is written. (Default: nothing is taken out.) */
  clean?: Scrub
  /** Called once when rows disappear while the server runs. */
  onBroken: (problem: string) => void
  /** Receives disk errors when the head file is written. */
  onFault: (error: unknown, what: string) => void
}

/** Says, beside the rows, that there are some: a table that was emptied together with its files is not a new one. */
const BEGUN = 'audit.begun'
/** Rows that are looked at when the server starts: some fifteen milliseconds. */
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
  /** What the check of the last rows found at the start. */
  readonly atStart: Verdict

  /** Checks the end of the chain and writes every event that belongs into it from now on. Throws CageError `audit_broken`
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

  /** The last row's number and hash; zeros when there is none. */
  get head(): Head {
    return this.#table.last() ?? BEGINNING
  }

  /** Writes one row, now. Throws CageError `database_unusable` when it cannot be written: what it records must not be done. */
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

  /** Looks at every row, in pieces that let others work. */
  verify(): Promise<Verdict> {
    return verifyChain(this.#table, this.#anchor)
  }

  /** True when this is a row of ours, as it was written; only `verify` knows whether it is the last one. */
  isAsWritten(row: AuditRow): boolean {
    return row.hash.equals(hashOf(this.#anchor.key, row))
  }

  find(query: Parameters<AuditTable['find']>[0]): AuditRow[] {
    return this.#table.find(query)
  }

  /** Writes the head file for the last time; before the database is closed. */
  async close(): Promise<void> {
    this.#stop()
    await this.#anchor.close()
  }

  #insert(entry: Entry, at: string): void {
    const { role, actor, action, target = null, details = {} } = this.#clean ? scrubTexts(entry, this.#clean) : entry
    const { seq, hash: previous } = this.head
    const { seq: witnessed } = this.#anchor.witnessed ?? BEGINNING
    if (seq < witnessed && this.#anchor.freeze()) {
      // Not within the transaction that is being written.
      queueMicrotask(() => this.#onBroken(`rows ${seq + 1} to ${witnessed} have disappeared`))
    }
    const row = { seq: seq + 1, at, role, actor, action, target, details: JSON.stringify(details), previous }
    this.#table.insert({ ...row, hash: hashOf(this.#anchor.key, row) })
    if (seq === 0) this.#meta.put(BEGUN, '1')
    this.#anchor.moved()
  }
}
