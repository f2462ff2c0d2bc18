import type Sqlite from 'better-sqlite3'
import { asc, desc, gt, lt } from 'drizzle-orm'
import type { Database } from '../database.ts'
import { start } from '../migrations/0007-start.ts'
import { audit } from './schema.ts'

export type AuditRow = typeof audit.$inferSelect
export type AuditTable = ReturnType<typeof auditTable>

/** The exact SQL of the triggers that keep rows from being changed, by name; `verify` reports missing ones. */
const TRIGGERS = new Map(
  [...start.matchAll(/CREATE TRIGGER (\w+) [^;]+;[^;]*END(?=;)/g)].map(([sql, name]) => [name!, sql]),
)

/** Append-only: no statement here changes a row. */
export function auditTable({ orm }: Pick<Database, 'orm'>) {
  const client: Sqlite.Database = orm.$client
  // Not through drizzle: verification reads a hundred thousand rows per second.
  const after = client.prepare<[number, number], AuditRow>('SELECT * FROM audit WHERE seq > ? ORDER BY seq LIMIT ?')
  const last = client.prepare<[], AuditRow>('SELECT * FROM audit ORDER BY seq DESC LIMIT 1')
  const insert = client.prepare<AuditRow>(
    `INSERT INTO audit (seq, at, role, actor, action, target, details, previous, hash)
     VALUES (@seq, @at, @role, @actor, @action, @target, @details, @previous, @hash)`,
  )
  return {
    last: (): AuditRow | undefined => last.get(),

    insert: (row: AuditRow): void => void insert.run(row),

    /** The next rows after `seq`, oldest first. */
    after: (seq: number, limit: number): AuditRow[] => after.all(seq, limit),

    /** Newest first with `before` or by default, oldest first with `after`. */
    find: ({ before, after: from, limit }: { before?: number; after?: number; limit: number }): AuditRow[] =>
      orm
        .select()
        .from(audit)
        .where(from !== undefined ? gt(audit.seq, from) : before !== undefined ? lt(audit.seq, before) : undefined)
        .orderBy(from !== undefined ? asc(audit.seq) : desc(audit.seq))
        .limit(limit)
        .all(),

    /** Names of triggers that are missing, changed, or unknown. */
    changedTriggers(): string[] {
      const there = client
        .prepare<[], { name: string; sql: string }>(
          "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'audit' ORDER BY name",
        )
        .all()
      const gone = [...TRIGGERS.keys()].filter((name) => !there.some((trigger) => trigger.name === name))
      return [...gone, ...there.filter(({ name, sql }) => TRIGGERS.get(name) !== sql).map(({ name }) => name)]
    },
  }
}
