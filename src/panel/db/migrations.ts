/**
 * The versions of a panel's tables, forward only: never edit a migration that has shipped. Panels that start at once take
 * turns.
 *
 * During an update panels of two versions use one database, and an operator may go back to the version before: a
 * migration adds, and what nothing uses any more is taken away a release later. The database records from which version
 * on a panel may use it.
 */
import { CageError } from '../../core/errors.ts'
import type { Dialect, Sql } from './database.ts'
import { firstSchema } from './schema.ts'

/** Any number that no other program uses in this database: "iron". */
const LOCK = 0x69726f6e

/** Tables of earlier versions were never released, and are not migrated. */
const FIRST = 23
const MIGRATIONS: readonly ((dialect: Dialect) => string[])[] = [firstSchema]
const CURRENT = FIRST + MIGRATIONS.length - 1

/** Panels of this version and later ones work with the tables of all. To be raised by a migration that takes away. */
export const OLDEST = 23

/** Throws CageError `database_unusable`. */
export async function migrate(sql: Sql, dialect: Dialect): Promise<void> {
  if (dialect.kind === 'postgres') await sql.rows(`SELECT pg_advisory_xact_lock(${LOCK})`)
  await sql.rows('CREATE TABLE IF NOT EXISTS panel_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)')
  const schema = await readSchema(sql)
  requireKnown(schema)
  const done = schema.version === 0 ? 0 : schema.version - FIRST + 1
  if (done >= MIGRATIONS.length) return
  for (const statements of MIGRATIONS.slice(done)) {
    for (const statement of statements(dialect)) await sql.rows(statement)
  }
  for (const [key, value] of Object.entries({ version: CURRENT, oldest: OLDEST })) {
    await sql.rows(
      'INSERT INTO panel_meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
      [key, String(value)],
    )
  }
}

/** The version of a database's tables, and the one that a panel must have at least to work with them. */
interface Schema {
  version: number
  oldest: number
}

/** Version 0 before the first migration. Rejects where there are no tables of a panel. */
export async function readSchema(sql: Sql): Promise<Schema> {
  const rows = await sql.rows<{ key: string; value: string }>(
    "SELECT key, value FROM panel_meta WHERE key IN ('version', 'oldest')",
  )
  const { version = 0, oldest = version } = Object.fromEntries(rows.map(({ key, value }) => [key, Number(value)]))
  return { version, oldest }
}

/** Throws CageError `database_unusable` for tables that lack something, or that a newer version took something from. */
export function requireUsable(schema: Schema): void {
  requireKnown(schema)
  if (schema.version >= CURRENT) return
  throw new CageError('database_unusable', `this database has version ${schema.version} of ${CURRENT}`, {
    hint: 'start a panel of this version, which migrates it',
  })
}

function requireKnown({ version, oldest }: Schema): void {
  if (version > 0 && version < FIRST) {
    throw new CageError('database_unusable', `this database has version ${version}, which cannot be migrated`, {
      hint: 'start the panel with a new database and let the machines join again, or go on with the version that wrote it',
    })
  }
  if (version > CURRENT && oldest > CURRENT) {
    throw new CageError(
      'database_unusable',
      `a newer Iron Cage wrote this database (version ${version}, this one knows ${CURRENT})`,
      { hint: 'update Iron Cage' },
    )
  }
}
