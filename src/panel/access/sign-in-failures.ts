/**
 * Failed sign-ins of each organization, in its audit: one row for each ten minutes with their number. Anyone can fail
 * thousands of times, and may have typed a password as the name: neither is recorded.
 */
import { isoTime } from '../../core/clock.ts'
import { appendAudit } from '../db/audit-store.ts'
import type { PanelDatabase } from '../db/database.ts'

const WINDOW_MS = 600_000

export class SignInFailures {
  readonly #database: PanelDatabase

  constructor(database: PanelDatabase) {
    this.#database = database
  }

  /** `organization`: the name of the attempted sign-in; without effect if there is none of it. */
  async count(organization: string): Promise<void> {
    const { system, dialect } = this.#database
    await system.rows(
      `INSERT INTO sign_in_failures AS known (organization_id, count, since)
       SELECT id, 1, ${dialect.now} FROM organizations WHERE name = $1
       ON CONFLICT (organization_id) DO UPDATE SET count = known.count + 1`,
      [organization],
    )
  }

  /** Moves counts of ten minutes ago or earlier into the audit: once, on whichever process. */
  async record(): Promise<void> {
    const { system, dialect } = this.#database
    const isOver = `since <= ${dialect.now} - ${WINDOW_MS}`
    const over = await system.rows<{ id: string }>(`SELECT organization_id AS id FROM sign_in_failures WHERE ${isOver}`)
    for (const { id: organizationId } of over) {
      await this.#database.within(organizationId, async (sql) => {
        const [counted] = await sql.rows<{ count: number; since: number }>(
          `DELETE FROM sign_in_failures WHERE organization_id = $1 AND ${isOver} RETURNING count, since`,
          [organizationId],
        )
        if (!counted) return
        const details = { failures: counted.count, since: isoTime(counted.since) }
        const entry = { organizationId, actor: 'unknown', action: 'sign_in.failed', target: organizationId, details }
        await appendAudit(sql, dialect, [entry])
      })
    }
  }
}
