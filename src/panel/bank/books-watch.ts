/**
 * Compares the books with each other while a panel runs: once an hour, by one of its processes, and when one starts
 * that finds the last check older than that. Differences are logged, and stay in the database for the alerts.
 */
import type { Clock } from '../../core/clock.ts'
import { RepeatingTask } from '../../core/repeating-task.ts'
import type { PanelDatabase, Sql } from '../db/database.ts'
import { checkMoved, lastTransfer } from './books-check.ts'

/** Something that does not agree, without names: an erasure does not look here. */
export interface BrokenBooks {
  organization_id: string
  id: string
  text: string
  /** When it was first found, in ms since 1970. */
  found_at: number
}

interface LastCheck {
  at: number
  /** The last transfer at this check, and at the one before: a late commit has a number before the last one. */
  transfers: [before: number, last: number]
  broken: BrokenBooks[]
}

const KEY = 'books.check'
const INTERVAL_MS = 3_600_000
/** How often a process looks whether a check is due. */
const POLL_INTERVAL_MS = 60_000
/** Of each check: books that are broken everywhere are one piece of news. */
const MAX_BROKEN = 100

export class BooksWatch {
  readonly #database: PanelDatabase
  readonly #onFault: (error: unknown, what: string) => void
  readonly #task: RepeatingTask

  /** `onFault`: gets each difference at each check that finds it, and why a check could not be made. */
  constructor(database: PanelDatabase, clock: Clock, onFault: (error: unknown, what: string) => void) {
    this.#database = database
    this.#onFault = onFault
    this.#task = new RepeatingTask(clock, async () => {
      await database
        .exclusively('check', (sql) => this.#check(sql))
        .catch((error) => {
          onFault(error, 'comparing the books failed')
        })
      return POLL_INTERVAL_MS
    })
  }

  close(): Promise<void> {
    return this.#task.stop()
  }

  async #check(sql: Sql): Promise<void> {
    const { dialect } = this.#database
    const [clock] = await sql.rows<{ now: number }>(`SELECT ${dialect.now} AS now`)
    const { now } = clock!
    const last = await readCheck(sql)
    // Also when the clock was set back.
    if (last && Math.abs(now - last.at) < INTERVAL_MS) return
    const [before, at] = [last?.transfers[1] ?? 0, await lastTransfer(sql)]
    const found = await checkMoved(sql, dialect, last?.transfers[0] ?? 0)
    for (const { label, text } of found) this.#onFault(new Error(`${label} ${text}`), 'the books do not agree')
    const known = new Map(last?.broken.map((one) => [one.id, one.found_at]))
    const broken = found.slice(0, MAX_BROKEN).map(({ organization_id, id, text }) => {
      return { organization_id, id, text, found_at: known.get(id) ?? now }
    })
    const check: LastCheck = { at: now, transfers: [before, at], broken }
    await sql.rows(
      'INSERT INTO panel_meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
      [KEY, JSON.stringify(check)],
    )
  }
}

/** The last check's result. */
export async function brokenBooks(sql: Sql): Promise<BrokenBooks[]> {
  return (await readCheck(sql))?.broken ?? []
}

async function readCheck(sql: Sql): Promise<LastCheck | undefined> {
  const [row] = await sql.rows<{ value: string }>('SELECT value FROM panel_meta WHERE key = $1', [KEY])
  return row && (JSON.parse(row.value) as LastCheck)
}
