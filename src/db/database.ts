/**
 * The one SQLite file. `openDatabase` opens, checks and migrates it; each table's statements are in their own file in
 * this folder. Only one server at a time writes a file (`access/claim.ts`), so statements are short and never wait: a
 * busy or full disk is an immediate error, and the parts that must not lose data retry without blocking the event loop.
 */

import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import Sqlite from 'better-sqlite3'
import { getTableName, is, Table } from 'drizzle-orm'
import { type BetterSQLite3Database, drizzle } from 'drizzle-orm/better-sqlite3'
import { CageError } from '../core/errors.ts'
import { checkStructure } from './check-structure.ts'
import { requireOwnFiles } from './files.ts'
import { GroupCommit } from './group-commit.ts'
import { start } from './migrations/0007-start.ts'
import { checkpointScripts } from './migrations/0008-checkpoint-scripts.ts'
import { pastAgents } from './migrations/0009-past-agents.ts'
import { callSearch } from './migrations/0010-call-search.ts'
import { callContents } from './migrations/0011-call-contents.ts'
import { reportLinks } from './migrations/0012-report-links.ts'
import { callOrders } from './migrations/0013-call-orders.ts'
import { leases } from './migrations/0014-leases.ts'
import { signedLeases } from './migrations/0015-signed-leases.ts'
import { holds } from './migrations/0016-holds.ts'
import { costOrder } from './migrations/0017-cost-order.ts'
import { openSeal, type Seal } from './seal.ts'
import * as schema from './tables/schema.ts'

export type Orm = BetterSQLite3Database & { $client: Sqlite.Database }

export interface Database extends Seal {
  readonly path: string
  readonly orm: Orm
  readonly synchronous: Synchronous
  /** Runs `work` in one transaction and returns its result; all or nothing. */
  transaction<T>(work: () => T): T
  /** The same; when it returns, the disk has this transaction and all earlier ones, with any `synchronous`. */
  transactionOnDisk<T>(work: () => T): T
  /**
   * Runs `write` at the end of this turn of the event loop, in one transaction with other such writes, and calls
   * `ended` right after the commit: with the error when `write` threw, or when nothing could be committed.
   */
  groupCommit(write: () => void, ended: (error?: unknown) => void): void
  close(): void
}

/** The `user_version` of a version 0.1.0 database, which a new one starts with. */
const START_VERSION = 7
/** Later migrations, forward only: never edit one that has shipped. */
const MIGRATIONS: readonly string[] = [
  checkpointScripts,
  pastAgents,
  callSearch,
  callContents,
  reportLinks,
  callOrders,
  leases,
  signedLeases,
  holds,
  costOrder,
]
const VERSION = START_VERSION + MIGRATIONS.length

/** Twice the size that autocheckpoint allows. */
const MAX_IDLE_WAL_BYTES = 32 * 1024 * 1024

/** `normal` survives a kill; `full` survives a power failure as well. */
export type Synchronous = 'normal' | 'full'

export interface DatabaseOptions {
  path: string
  /** (Default: normal.) */
  synchronous?: Synchronous
}

/**
 * Throws CageError `database_unusable` when the file cannot be opened, is not a database, is damaged, or is too new;
 * `audit_broken` when the audit table was dropped.
 */
export function openDatabase({ path, synchronous = 'normal' }: DatabaseOptions): Database {
  let client: Sqlite.Database | undefined
  let endCheck = () => {}
  try {
    if (path !== ':memory:') {
      requireOwnFiles(path)
      mkdirSync(dirname(path), { recursive: true })
      // Before SQLite opens it: the files it creates next to a new one get the same mode.
      closeSync(openSync(path, 'a', 0o600))
    }
    client = new Sqlite(path)
    requireNoPanel(client)
    // Waits would block the event loop: a lock of another program is an immediate error, retried by the callers.
    client.pragma('busy_timeout = 50')
    client.pragma('journal_mode = WAL')
    client.pragma(`synchronous = ${synchronous}`)
    client.pragma('foreign_keys = ON')
    client.pragma('cache_size = -8000')
    // A checkpoint copies at most this many pages between two calls, and waits for the disk: every 400 calls or so.
    client.pragma('wal_autocheckpoint = 4000')
    // Shrinks the write-ahead log after a burst.
    client.pragma(`journal_size_limit = ${MAX_IDLE_WAL_BYTES}`)
    endCheck = checkStructure(client)
    if (path !== ':memory:') chmodSync(path, 0o600)
    migrate(client)
    requireTables(client)
  } catch (error) {
    endCheck()
    client?.close()
    if (error instanceof CageError) throw error
    throw new CageError('database_unusable', `cannot use ${path} as a database: ${(error as Error).message}`, {
      facts: { path },
      cause: error,
    })
  }
  const opened = client
  const transactions = opened.transaction((work: () => unknown) => work())
  const transaction = <T>(work: () => T) => transactions.immediate(work) as T
  const commits = new GroupCommit(transaction)
  return {
    path,
    orm: drizzle({ client: opened }),
    ...openSeal(path),
    synchronous,
    transaction,
    transactionOnDisk(work) {
      opened.pragma('synchronous = full')
      try {
        return transaction(work)
      } finally {
        opened.pragma(`synchronous = ${synchronous}`)
      }
    },
    groupCommit: (write, ended) => commits.add(write, ended),
    close() {
      endCheck()
      opened.close()
    },
  }
}

/**
 * Opens a database for reading, even while a server writes it. Throws CageError `database_unusable`, or `audit_broken`
 * when the audit table is missing.
 */
export function readDatabase(path: string): Pick<Database, 'orm'> & Disposable {
  let client: Sqlite.Database | undefined
  try {
    requireOwnFiles(path)
    client = new Sqlite(path, { readonly: true })
    requireNoPanel(client)
    if ((client.pragma('user_version', { simple: true }) as number) !== VERSION) {
      throw new Error('another version of Iron Cage wrote it; start the server once')
    }
    requireTables(client)
    const opened = client
    return { orm: drizzle({ client: opened }), [Symbol.dispose]: () => void opened.close() }
  } catch (error) {
    client?.close()
    if (error instanceof CageError) throw error
    const why = (error as Error).message
    throw new CageError('database_unusable', `cannot read ${path}: ${why}`, { facts: { path }, cause: error })
  }
}

/** Whether it is the database of a Control Panel, which has tables of its own. */
export const isOfPanel = (client: Sqlite.Database): boolean =>
  client.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'organizations'").get() !== undefined

function requireNoPanel(client: Sqlite.Database): void {
  if (isOfPanel(client)) throw new Error('it is the database of a Control Panel')
}

/** Reads one value of `meta` from a database of any version, even while a server writes it. Throws CageError `database_unusable`. */
export function readMeta(path: string, key: string): string | undefined {
  let client: Sqlite.Database | undefined
  try {
    requireOwnFiles(path)
    client = new Sqlite(path, { readonly: true })
    // A file that no server has used yet has no tables.
    const isEmpty = client.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'meta'").get() === undefined
    return isEmpty ? undefined : (client.prepare('SELECT value FROM meta WHERE key = ?').pluck().get(key) as string)
  } catch (error) {
    if (error instanceof CageError) throw error
    const why = (error as Error).message
    throw new CageError('database_unusable', `cannot use ${path} as a database: ${why}`, {
      facts: { path },
      cause: error,
    })
  } finally {
    client?.close()
  }
}

/** Throws CageError `audit_broken` or `database_unusable` naming the tables that were dropped. */
function requireTables(client: Sqlite.Database): void {
  const there = new Set(client.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").pluck().all())
  const tables = Object.values(schema).flatMap((table) => (is(table, Table) ? [getTableName(table)] : []))
  const gone = tables.filter((name) => !there.has(name))
  if (gone.length === 0) return
  const code = gone.includes('audit') ? 'audit_broken' : 'database_unusable'
  const what = gone.length === 1 ? `the table ${gone[0]} is` : `the tables ${gone.join(', ')} are`
  throw new CageError(code, `${what} missing from ${client.name}: Iron Cage never removes a table`, {
    facts: { path: client.name, tables: gone.join(',') },
    hint: 'keep a copy of the file, and restore a backup with "iron-cage restore"',
  })
}

function migrate(client: Sqlite.Database): void {
  const version = client.pragma('user_version', { simple: true }) as number
  if (version > VERSION) {
    throw new CageError(
      'database_unusable',
      `${client.name} was written by a newer Iron Cage (version ${version}, this one knows ${VERSION})`,
      { hint: 'update Iron Cage, or choose another file with --db' },
    )
  }
  if (version > 0 && version < START_VERSION) {
    throw new CageError(
      'database_unusable',
      `${client.name} was written before version 0.1.0, and cannot be migrated (version ${version})`,
      { hint: 'start that version once to export what you need, and choose another file with --db' },
    )
  }
  if (version === 0) apply(client, start, START_VERSION)
  MIGRATIONS.forEach((sql, index) => {
    const to = START_VERSION + index + 1
    if (version < to) apply(client, sql, to)
  })
}

function apply(client: Sqlite.Database, sql: string, version: number): void {
  client.transaction(() => {
    client.exec(sql)
    client.pragma(`user_version = ${version}`)
  })()
}
