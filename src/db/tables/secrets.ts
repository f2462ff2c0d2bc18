import { asc, eq } from 'drizzle-orm'
import type { Database } from '../database.ts'
import type { AuditRow } from './audit.ts'
import { secrets } from './schema.ts'

export type SecretRow = typeof secrets.$inferSelect
export type SecretTable = ReturnType<typeof secretTable>

/** One row of `secret_audit_log`, the view of the audit chain's rows about secrets. */
export interface SecretAuditRow {
  id: string
  secret_name: string
  operation: string
  requester_role: AuditRow['role']
  agent_id: string | null
  success: boolean
  error_message: string | null
  timestamp: string
}

export function secretTable({ orm }: Pick<Database, 'orm'>) {
  const client = orm.$client
  return {
    get: (id: string): SecretRow | undefined => orm.select().from(secrets).where(eq(secrets.id, id)).get(),

    /** By name and environment, including deleted ones. */
    all: (): SecretRow[] => orm.select().from(secrets).orderBy(asc(secrets.name), asc(secrets.environment)).all(),

    put: (row: SecretRow): void =>
      void orm.insert(secrets).values(row).onConflictDoUpdate({ target: secrets.id, set: row }).run(),

    /** Audit rows that changed a secret, oldest first. */
    changes: (): AuditRow[] =>
      client
        .prepare<[], AuditRow>(
          `SELECT * FROM audit WHERE action >= 'secret.' AND action < 'secret/' AND action <> 'secret.read' ORDER BY seq`,
        )
        .all(),

    /** Newest first. `before`: the `id` of the last row on the previous page. */
    audit({ secretName, before, limit }: { secretName?: string; before?: string; limit: number }): SecretAuditRow[] {
      const rows = client
        .prepare<[Record<string, unknown>], Omit<SecretAuditRow, 'success'> & { success: number }>(
          `SELECT id, secret_name, operation, requester_role, agent_id, success, error_message, timestamp
           FROM secret_audit_log
           WHERE (@secretName IS NULL OR secret_name = @secretName)
             AND (@before IS NULL OR seq < CAST(substr(@before, 5) AS INTEGER))
           ORDER BY seq DESC LIMIT @limit`,
        )
        .all({ secretName: secretName ?? null, before: before ?? null, limit })
      return rows.map((row) => ({ ...row, success: row.success === 1 }))
    },
  }
}
