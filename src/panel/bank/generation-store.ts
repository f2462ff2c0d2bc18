/** Which database the books are in, since when, and whether they are complete: the one row of `ledger_meta`. */
import { isoTime } from '../../core/clock.ts'
import type { Dialect, Sql } from '../db/database.ts'
import type { Books } from './bank.ts'
import { SILENCE_SLACK_MS } from './generations.ts'
import { Signatures } from './signatures.ts'

interface LedgerMeta {
  now: number
  /** Of the database as it is. */
  found: string
  /** Of the database in which this generation began. */
  identity: string
  generation: number
  reconciling_until: number
  signing_key: string
  /** Of the last movement of money. */
  position: number
}

/** The longest time that a panel lets runtimes spend without hearing from it bounds how long a silent one is waited for. */
export const noteTtl = (sql: Sql, ttlMs: number): Promise<unknown> =>
  sql.rows('UPDATE ledger_meta SET longest_ttl_ms = $1 WHERE longest_ttl_ms < $1', [ttlMs])

/**
 * Reads the time and the generation. Begins one in a database that the books were not in before, and when a runtime
 * knows of more than they do.
 */
export async function loadGeneration(
  sql: Sql,
  dialect: Dialect,
  books: Books,
  bookmarks: readonly string[] = [],
): Promise<void> {
  let meta = await read(sql, dialect)
  books.signatures = new Signatures(Buffer.from(meta.signing_key, 'hex'))
  const isBehind = bookmarks.some((signed) => {
    const bookmark = books.signatures.readBookmark(signed)
    return bookmark?.generation === meta.generation && bookmark.position > meta.position
  })
  if (meta.found !== meta.identity || isBehind) {
    await begin(sql, dialect, books, meta.identity)
    meta = await read(sql, dialect)
  }
  books.now = meta.now
  books.generation = meta.generation
  books.bookmark = books.signatures.bookmark(meta)
  books.isReconciling = meta.now < meta.reconciling_until && (await isAnyMissing(sql, meta.generation))
}

/** Begins a generation in the same database: a runtime has proved that it lost commits. */
export async function forgetGeneration(sql: Sql, dialect: Dialect, books: Books): Promise<void> {
  const { identity } = await read(sql, dialect)
  await begin(sql, dialect, books, identity)
}

/** When nothing is lent for the time being: until then at the latest, in ms since 1970. */
export async function reconcilingUntil(sql: Sql, dialect: Dialect): Promise<number | null> {
  const { now, generation, reconciling_until } = await read(sql, dialect)
  return now < reconciling_until && (await isAnyMissing(sql, generation)) ? reconciling_until : null
}

async function read(sql: Sql, { identity, now }: Dialect): Promise<LedgerMeta> {
  const [meta] = await sql.rows<LedgerMeta>(
    `SELECT *, ${identity} AS found, ${now} AS now, coalesce((SELECT max(n) FROM transfers), 0) AS position
     FROM ledger_meta`,
  )
  return meta!
}

/** One of several panels does; the others wait for it, and find it done. A time is a number that no lost generation had. */
async function begin(sql: Sql, { identity, now }: Dialect, books: Books, before: string): Promise<void> {
  const [begun] = await sql.rows<{ generation: number; reconciling_until: number }>(
    `UPDATE ledger_meta SET identity = ${identity}, generation = ${now},
       reconciling_until = ${now} + longest_ttl_ms + ${SILENCE_SLACK_MS} WHERE identity = $1
     RETURNING generation, reconciling_until`,
    [before],
  )
  if (!begun) return
  books.reconciledUntil = begun.reconciling_until
  const until = isoTime(begun.reconciling_until)
  const organizations = await sql.rows<{ id: string }>('SELECT id FROM organizations')
  for (const { id: organizationId } of organizations) {
    const target = `generation ${begun.generation}`
    books.entries.push({ organizationId, actor: 'the panel', action: 'books.reconciled', target, details: { until } })
  }
}

/** It is unknown which of those that joined have forgotten leases. */
async function isAnyMissing(sql: Sql, generation: number): Promise<boolean> {
  const missing = await sql.rows('SELECT id FROM runtimes WHERE revoked_at IS NULL AND generation <> $1 LIMIT 1', [
    generation,
  ])
  return missing.length > 0
}
