/** The policy of each organization: settings that its runtimes merge into their configuration. */
import type { Policy } from '../config/policy.ts'
import type { PolicyState } from '../control-messages.ts'
import type { Member } from './credentials.ts'
import { appendAudit } from './db/audit-store.ts'
import type { PanelDatabase, Sql } from './db/database.ts'

export interface StoredPolicy {
  organization_id: string
  revision: number
  /** As JSON; null since it was cleared. */
  settings: string | null
  updated_at: number
  updated_by: string
}

export class Policies {
  readonly #database: PanelDatabase

  constructor(database: PanelDatabase) {
    this.#database = database
  }

  /** Undefined until there was one. */
  find(organizationId: string): Promise<StoredPolicy | undefined> {
    return this.#database.within(organizationId, (sql) => find(sql, organizationId))
  }

  /** `policy`: null for none. Runtimes get it at once while they are connected. */
  async set(
    { organizationId, name: by }: Pick<Member, 'organizationId' | 'name'>,
    policy: Policy | null,
  ): Promise<StoredPolicy> {
    const { dialect } = this.#database
    const stored = await this.#database.within(organizationId, async (sql) => {
      const settings = policy && JSON.stringify(policy)
      await sql.rows(
        `INSERT INTO policies (organization_id, revision, settings, updated_at, updated_by)
         VALUES ($1, 1, $2, ${dialect.now}, $3)
         ON CONFLICT (organization_id) DO UPDATE SET revision = policies.revision + 1, settings = excluded.settings,
         updated_at = excluded.updated_at, updated_by = excluded.updated_by`,
        [organizationId, settings, by],
      )
      const row = (await find(sql, organizationId))!
      const details = { revision: row.revision, settings }
      const entry = { organizationId, actor: by, action: policy ? 'policy.set' : 'policy.clear', target: 'policy' }
      await appendAudit(sql, dialect, [{ ...entry, details }])
      return row
    })
    await this.#database.announce(organizationId)
    return stored
  }

  /** As runtimes get it. */
  async stateOf(organizationId: string): Promise<PolicyState | null> {
    const row = await this.find(organizationId)
    return row ? { revision: row.revision, settings: settingsOf(row) } : null
  }
}

export const settingsOf = ({ settings }: StoredPolicy): Policy | null =>
  settings === null ? null : (JSON.parse(settings) as Policy)

async function find(sql: Sql, organizationId: string): Promise<StoredPolicy | undefined> {
  const own = 'SELECT * FROM policies WHERE organization_id = $1'
  return (await sql.rows<StoredPolicy>(own, [organizationId]))[0]
}
