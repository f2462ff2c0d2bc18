/**
 * The policy of each organization: settings that its runtimes merge into their configuration, and further ones by
 * environment. Those of an environment hold on the runtimes that may have its secrets, independent of their own claims.
 */
import type { Environment } from '../../config/environments.ts'
import type { Policy } from '../../config/policy.ts'
import type { PolicyState } from '../../protocol/control-messages.ts'
import type { Member } from '../access/credentials.ts'
import { appendAudit } from '../db/audit-store.ts'
import type { PanelDatabase, Sql } from '../db/database.ts'

export interface StoredPolicy {
  organization_id: string
  revision: number
  /** As JSON; null since it was cleared. */
  settings: string | null
  /** As JSON, by name. */
  environments: string
  updated_at: number
  updated_by: string
}

type Person = Pick<Member, 'organizationId' | 'name'>

export class Policies {
  readonly #database: PanelDatabase

  constructor(database: PanelDatabase) {
    this.#database = database
  }

  /** Undefined until there was one. */
  find(organizationId: string): Promise<StoredPolicy | undefined> {
    return this.#database.within(organizationId, (sql) => findPolicy(sql, organizationId))
  }

  /**
   * `policy`: null for none. `environment`: whose policy it is; null for that of all machines. (Default: null.) Runtimes get it
   * at once while they are connected.
   */
  async set(
    { organizationId, name: by }: Person,
    policy: Policy | null,
    environment: Environment | null = null,
  ): Promise<StoredPolicy> {
    const { dialect } = this.#database
    const stored = await this.#database.within(organizationId, async (sql) => {
      await sql.rows(
        `INSERT INTO policies (organization_id, revision, updated_at, updated_by) VALUES ($1, 0, ${dialect.now}, $2)
         ON CONFLICT (organization_id) DO NOTHING`,
        [organizationId, by],
      )
      const before = (await findPolicy(sql, organizationId, dialect.forUpdate))!
      const settings = policy && JSON.stringify(policy)
      const environments = environmentsIn(before)
      if (environment && policy) environments[environment] = policy
      else if (environment) delete environments[environment]
      await sql.rows(
        `UPDATE policies SET revision = revision + 1, settings = $2, environments = $3, updated_at = ${dialect.now},
         updated_by = $4 WHERE organization_id = $1`,
        [organizationId, environment ? before.settings : settings, JSON.stringify(environments), by],
      )
      const row = (await findPolicy(sql, organizationId))!
      const details = { revision: row.revision, ...(environment && { environment }), settings }
      const entry = { organizationId, actor: by, action: policy ? 'policy.set' : 'policy.clear', target: 'policy' }
      await appendAudit(sql, dialect, [{ ...entry, details }])
      return row
    })
    await this.#database.announce(organizationId)
    return stored
  }
}

/** As a runtime gets it. `allowed`: the environments whose secrets it may have. */
export function policyState(row: StoredPolicy | undefined, allowed: readonly string[]): PolicyState | null {
  if (!row) return null
  const own = Object.entries(environmentsIn(row)).filter(([name]) => allowed.includes(name))
  return { revision: row.revision, settings: settingsOf(row), environments: Object.fromEntries(own) }
}

export const settingsOf = ({ settings }: StoredPolicy): Policy | null =>
  settings === null ? null : (JSON.parse(settings) as Policy)

export const environmentsIn = ({ environments }: StoredPolicy): Record<string, Policy> =>
  JSON.parse(environments) as Record<string, Policy>

export async function findPolicy(sql: Sql, organizationId: string, lock = ''): Promise<StoredPolicy | undefined> {
  const own = `SELECT * FROM policies WHERE organization_id = $1 ${lock}`
  return (await sql.rows<StoredPolicy>(own, [organizationId]))[0]
}
