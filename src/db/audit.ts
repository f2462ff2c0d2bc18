import type Sqlite from 'better-sqlite3'
import { asc, desc, gt, lt } from 'drizzle-orm'
import type { Database } from './database.ts'
import { audit } from './schema.ts'

export type AuditRow = typeof audit.$inferSelect
export type AuditTable = ReturnType<typeof auditTable>

/** What stops everybody from changing rows; `verify` says when one is gone. */
const TRIGGERS = ['audit_is_appended_only', 'audit_is_never_deleted', 'audit_is_never_updated']

/** Append-only: there is no statement here that changes a row. */
export function auditTable({ orm }: Pick<Database, 'orm'>) {
  const client: Sqlite.Database = orm.$client
  // Not through drizzle: whoever verifies reads a hundred thousand rows a second.
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

    /** Newest first with `before` or without anything, oldest first with `after`. */
    find: ({ before, after: from, limit }: { before?: number; after?: number; limit: number }): AuditRow[] =>
      orm
        .select()
        .from(audit)
        .where(from !== undefined ? gt(audit.seq, from) : before !== undefined ? lt(audit.seq, before) : undefined)
        .orderBy(from !== undefined ? asc(audit.seq) : desc(audit.seq))
        .limit(limit)
        .all(),

    /** Triggers that should be there and are not. */
    missingTriggers(): string[] {
      const there = client.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'audit'")
      const names = new Set(there.pluck().all())
      return TRIGGERS.filter((name) => !names.has(name))
    },
  }
}
