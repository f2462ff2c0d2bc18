/** One SQLite file, for trying a panel out and for small teams on one machine. Only one process may serve it. */
import { closeSync, existsSync, mkdirSync, openSync, rmSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import Sqlite from 'better-sqlite3'
import type { ChangeListener, Dialect, PanelDatabase, Sql, Value } from './database.ts'
import { migrate } from './migrations.ts'

/** A file that was moved in its place is another one. */
function dialectOf(path: string): Dialect {
  const { ino, birthtimeNs } = statSync(path, { bigint: true })
  return { ...SQLITE, identity: `'${ino}-${birthtimeNs}'` }
}

const SQLITE: Omit<Dialect, 'identity'> = {
  kind: 'sqlite',
  now: "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
  isRefusal: (error) => error instanceof Sqlite.SqliteError && /^SQLITE_(CONSTRAINT|TOOBIG|MISMATCH)/.test(error.code),
  forUpdate: '',
  serial: 'INTEGER PRIMARY KEY AUTOINCREMENT',
  isIn: (column, parameter) => `${column} IN (SELECT value FROM json_each(${parameter}))`,
  ownRows: () => [],
}

const MAX_CACHED_LENGTH = 2_000

/** `migrates`: whether it gets the tables of this version. */
export async function openSqlite(path: string, migrates: boolean): Promise<PanelDatabase> {
  mkdirSync(dirname(path), { recursive: true })
  const isNew = !existsSync(path)
  closeSync(openSync(path, 'a', 0o600))
  const dialect = dialectOf(path)
  const client = new Sqlite(path)
  client.pragma('journal_mode = WAL')
  client.pragma('synchronous = FULL')
  client.pragma('foreign_keys = ON')
  // Another panel on the same file would not see what this one decides.
  client.pragma('locking_mode = EXCLUSIVE')
  const statements = new Map<string, Sqlite.Statement>()
  const run = <Row>(text: string, values: readonly Value[] = []): Row[] => {
    const statement = statements.get(text) ?? client.prepare(text)
    // One for many rows at once is hardly ever the same.
    if (text.length < MAX_CACHED_LENGTH) statements.set(text, statement)
    const named = Object.fromEntries(values.map((value, index) => [index + 1, value]))
    if (statement.reader) return statement.all(named) as Row[]
    statement.run(named)
    return []
  }
  const sql: Sql = { rows: async <Row>(text: string, values?: readonly Value[]) => run<Row>(text, values) }
  let last: Promise<unknown> = Promise.resolve()
  /** There is one connection: a statement beside a transaction would become part of it. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const done = last.then(work)
    last = done.catch(() => undefined)
    return done
  }
  const transaction = <T>(work: (sql: Sql) => Promise<T>): Promise<T> =>
    inTurn(async () => {
      client.exec('BEGIN IMMEDIATE')
      try {
        const result = await work(sql)
        client.exec('COMMIT')
        return result
      } catch (error) {
        if (client.inTransaction) client.exec('ROLLBACK')
        throw error
      }
    })
  try {
    if (migrates) await transaction((within) => migrate(within, dialect))
  } catch (error) {
    client.close()
    throw error
  }
  const listeners = new Set<ChangeListener>()
  const close = () => inTurn(async () => void client.close())
  return {
    dialect,
    system: { rows: (text, values) => inTurn(() => sql.rows(text, values)) },
    within: (_organizationId, work) => transaction(work),
    money: transaction,
    // This is the only process. Each statement by itself: while the work waits, others have their turns.
    exclusively: (_kind, work) => work({ rows: (text, values) => inTurn(() => sql.rows(text, values)) }),
    announce: async (organizationId) => {
      for (const listener of listeners) listener(organizationId)
    },
    listen: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    close,
    discard: async () => {
      await close()
      // SQLite removes its own files beside it.
      if (isNew) rmSync(path)
    },
  }
}
