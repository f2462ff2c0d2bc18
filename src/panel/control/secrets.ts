/**
 * Secrets of an organization for the agents of its machines: for all, for one environment, or for agents of one name; the
 * narrowest one counts.
 *
 * The rules are:
 * - Values are sealed in this process, each bound to its organization, place and version. The database never sees a key.
 * - A runtime gets those of the environments that an admin allowed it, and nothing by default.
 * - Setting, removing or handing out a secret writes an audit row in the same transaction, without the value.
 */

import { CageError } from '../../core/errors.ts'
import type { CentralSecret } from '../../protocol/control-messages.ts'
import { type About, seal, unseal } from '../../vault/seal.ts'
import { mask, requireName, requireValue } from '../../vault/secret.ts'
import { type Member, newId } from '../access/credentials.ts'
import { revokedRuntime } from '../bank/bank.ts'
import { appendAudit } from '../db/audit-store.ts'
import type { PanelDatabase, Sql } from '../db/database.ts'
import { insert } from '../db/insert.ts'
import type { SecretKey } from './secret-key.ts'

export interface StoredCentralSecret {
  id: string
  organization_id: string
  name: string
  /** Empty for every environment. */
  environment: string
  /** The name of the agents that get it; empty for all. */
  agent: string
  version: number
  masked: string
  /** Base64, as `ciphertext`. */
  nonce: string
  ciphertext: string
  created_at: number
  updated_at: number
  updated_by: string
}

/** Who gets a secret: null for all. */
export interface SecretPlace {
  name: string
  environment: string | null
  agent: string | null
}

type Person = Pick<Member, 'organizationId' | 'name'>

/** Secrets of one organization. */
const MAX_SECRETS = 1_000

export class PanelSecrets {
  readonly #database: PanelDatabase
  readonly #keyFor: SecretKey

  constructor(database: PanelDatabase, keyFor: SecretKey) {
    this.#database = database
    this.#keyFor = keyFor
  }

  /** Creates or replaces it. Throws CageError `bad_request`, `vault_locked`, or `conflict` when there are too many. */
  async set({ organizationId, name: by }: Person, place: SecretPlace, value: string): Promise<StoredCentralSecret> {
    requireName(place.name)
    requireValue(value)
    const key = this.#keyFor(organizationId)
    const { dialect } = this.#database
    const { name, environment, agent } = { ...place, environment: place.environment ?? '', agent: place.agent ?? '' }
    const stored = await this.#database.within(organizationId, async (sql) => {
      const [organization] = await sql.rows<{ now: number }>(
        `SELECT ${dialect.now} AS now FROM organizations WHERE id = $1 ${dialect.forUpdate}`,
        [organizationId],
      )
      const all = await this.#all(sql, organizationId)
      const before = all.find((row) => row.name === name && row.environment === environment && row.agent === agent)
      if (!before && all.length >= MAX_SECRETS) throw new CageError('conflict', `there are ${MAX_SECRETS} secrets`)
      const now = organization!.now
      const bound = {
        ...{ id: before?.id ?? newId('secret'), organization_id: organizationId, name, environment, agent },
        version: (before?.version ?? 0) + 1,
      }
      const { nonce, ciphertext } = seal(key, Buffer.from(value), aboutValue(bound))
      const row: StoredCentralSecret = {
        ...bound,
        masked: mask(value),
        ...{ nonce: nonce.toString('base64'), ciphertext: ciphertext.toString('base64') },
        ...{ created_at: before?.created_at ?? now, updated_at: now, updated_by: by },
      }
      if (before) await sql.rows('DELETE FROM secrets WHERE organization_id = $1 AND id = $2', [organizationId, row.id])
      await insert(sql, 'secrets', [row])
      const details = { name, environment: environment || null, agent: agent || null, version: row.version }
      const entry = { organizationId, actor: by, action: before ? 'secret.update' : 'secret.create', target: row.id }
      await appendAudit(sql, dialect, [{ ...entry, details }])
      return row
    })
    await this.#database.announce(organizationId)
    return stored
  }

  /** Agents that run keep the value until they end. Throws CageError `not_found`. */
  async remove({ organizationId, name: by }: Person, id: string): Promise<void> {
    await this.#database.within(organizationId, async (sql) => {
      const [row] = await sql.rows<StoredCentralSecret>(
        'DELETE FROM secrets WHERE organization_id = $1 AND id = $2 RETURNING *',
        [organizationId, id],
      )
      if (!row) throw new CageError('not_found', `there is no secret "${id}"`)
      const details = { name: row.name, environment: row.environment || null, agent: row.agent || null }
      const entry = { organizationId, actor: by, action: 'secret.delete', target: id, details }
      await appendAudit(sql, this.#database.dialect, [entry])
    })
    await this.#database.announce(organizationId)
  }

  /** By name, without values. */
  list(organizationId: string): Promise<StoredCentralSecret[]> {
    return this.#database.within(organizationId, (sql) => this.#all(sql, organizationId))
  }

  /** Says which environments' secrets a runtime may have. Throws CageError `not_found`. */
  async allow({ organizationId, name: by }: Person, runtimeId: string, environments: readonly string[]): Promise<void> {
    await this.#database.within(organizationId, async (sql) => {
      const changed = await sql.rows(
        'UPDATE runtimes SET environments = $3 WHERE organization_id = $1 AND id = $2 RETURNING id',
        [organizationId, runtimeId, JSON.stringify(environments)],
      )
      if (changed.length === 0) throw noRuntime(runtimeId)
      const details = { environments: environments.join(' ') }
      const entry = { organizationId, actor: by, action: 'runtime.environments', target: runtimeId, details }
      await appendAudit(sql, this.#database.dialect, [entry])
    })
    await this.#database.announce(organizationId)
  }

  /** What `secretsState` compares. */
  versions(sql: Sql, organizationId: string): Promise<SecretVersion[]> {
    return sql.rows<SecretVersion>(
      'SELECT id, environment, version FROM secrets WHERE organization_id = $1 ORDER BY id',
      [organizationId],
    )
  }

  /**
   * The values for agents of one environment, and for those of one name there. Throws CageError `forbidden` for an
   * environment that the runtime is not allowed, or `vault_locked`.
   */
  fetch(
    { organizationId, id, name: runtime }: Member,
    { environment, agent }: { environment: string; agent: string | null },
  ): Promise<CentralSecret[]> {
    return this.#database.within(organizationId, async (sql) => {
      const allowed = await environmentsOf(sql, organizationId, id)
      if (!allowed.includes(environment)) {
        throw new CageError('forbidden', `${runtime} may not have the secrets of ${environment}`, {
          hint: `an admin allows it: "iron-cage runtimes allow ${id} ${environment}"`,
        })
      }
      const rows = (await this.#all(sql, organizationId)).filter(
        (row) => ['', environment].includes(row.environment) && ['', agent].includes(row.agent),
      )
      if (rows.length === 0) return []
      const key = this.#keyFor(organizationId)
      // Those of the environment come last, and replace those of all.
      const found = new Map<string, CentralSecret>()
      for (const row of rows.toSorted((one, other) => one.environment.length - other.environment.length)) {
        const { name, version, agent: owner } = row
        found.set(`${owner} ${name}`, { name, version, value: openValue(key, row), agent: owner || null })
      }
      const names = [...found.values()].map(({ name, version }) => `${name} ${version}`).join(', ')
      const entry = { organizationId, actor: runtime, action: 'secret.fetch', target: id }
      await appendAudit(sql, this.#database.dialect, [{ ...entry, details: { environment, agent, names } }])
      return [...found.values()]
    })
  }

  #all(sql: Sql, organizationId: string): Promise<StoredCentralSecret[]> {
    return sql.rows<StoredCentralSecret>(
      'SELECT * FROM secrets WHERE organization_id = $1 ORDER BY name, environment, agent',
      [organizationId],
    )
  }
}

export type SecretVersion = Pick<StoredCentralSecret, 'id' | 'environment' | 'version'>

/** Differs after each change of a runtime's secrets. `allowed`: the environments whose secrets it may have. */
export function secretsState(versions: readonly SecretVersion[], allowed: readonly string[]): string {
  if (allowed.length === 0) return ''
  const own = versions.filter(({ environment }) => environment === '' || allowed.includes(environment))
  return [...allowed, ...own.map(({ id, version }) => `${id} ${version}`)].join(' ')
}

/** Whose secrets a runtime may have. Throws CageError `runtime_revoked`. */
async function environmentsOf(sql: Sql, organizationId: string, runtimeId: string): Promise<string[]> {
  const [runtime] = await sql.rows<{ environments: string; revoked_at: number | null }>(
    'SELECT environments, revoked_at FROM runtimes WHERE organization_id = $1 AND id = $2',
    [organizationId, runtimeId],
  )
  if (!runtime || runtime.revoked_at !== null) {
    throw revokedRuntime()
  }
  return JSON.parse(runtime.environments) as string[]
}

/** Throws CageError `vault_broken` for a row that was changed, moved or sealed with another key. */
function openValue(key: Uint8Array, row: StoredCentralSecret): string {
  const sealed = { nonce: Buffer.from(row.nonce, 'base64'), ciphertext: Buffer.from(row.ciphertext, 'base64') }
  const value = unseal(key, sealed, aboutValue(row))
  if (value) return value.toString('utf8')
  throw new CageError('vault_broken', `the secret ${row.name} (${row.id}) of the Control Panel cannot be decrypted`)
}

type Bound = Pick<StoredCentralSecret, 'id' | 'organization_id' | 'name' | 'environment' | 'agent' | 'version'>

const aboutValue = ({ id, organization_id, name, environment, agent, version }: Bound): About => [
  'iron-cage panel secret 1',
  organization_id,
  id,
  name,
  environment,
  agent,
  version,
]

const noRuntime = (id: string): CageError =>
  new CageError('not_found', `there is no runtime "${id}"`, { hint: 'list them with "iron-cage runtimes list"' })
