/**
 * The webhooks that an organization's admins name for its alerts, besides those in the operator's file.
 *
 * The rules are:
 * - They reach the public internet over https, and otherwise only networks that the panel's file names: an organization
 *   must not make the panel reach its own neighbors. The addresses of a name are checked when it is set, and at each
 *   delivery.
 * - Address and signing key are sealed, bound to their organization, and never leave: the path of an address is often a
 *   secret itself. Who set or removed one is in the audit.
 */
import dns from 'node:dns/promises'
import { BlockList, isIP } from 'node:net'
import type { Channel } from '../../alerts/channel.ts'
import { hostOf, webhookChannel } from '../../alerts/webhook.ts'
import { addNetwork, isIn, isLinkLocal, isPublic } from '../../config/addresses.ts'
import type { Clock } from '../../core/clock.ts'
import { CageError } from '../../core/errors.ts'
import { type About, seal, unseal } from '../../vault/seal.ts'
import { type Member, newId } from '../access/credentials.ts'
import type { SecretKey } from '../control/secret-key.ts'
import { appendAudit } from '../db/audit-store.ts'
import type { PanelDatabase, Sql } from '../db/database.ts'
import { insert } from '../db/insert.ts'
import type { PanelAlertKind } from '../fleet-view.ts'
import type { SentKind } from './alert-causes.ts'

export interface StoredAlertWebhook {
  id: string
  organization_id: string
  /** Of its address, for people. */
  host: string
  /** The kinds of alerts that it gets, as JSON; null for all. */
  events: string | null
  /** Base64, as `ciphertext`. */
  nonce: string
  ciphertext: string
  created_at: number
  created_by: string
}

export interface NewAlertWebhook {
  url: string
  /** (Default: deliveries are not signed.) */
  secret?: string | undefined
  /** (Default: all.) */
  events?: readonly PanelAlertKind[] | undefined
}

/** The sealed value. */
interface Target {
  url: string
  secret?: string | undefined
}

/** Of one organization. */
const MAX_WEBHOOKS = 5

export class AlertWebhooks {
  readonly #database: PanelDatabase
  readonly #keyFor: SecretKey
  /** Besides the public internet. */
  readonly #networks = new BlockList()

  constructor(database: PanelDatabase, keyFor: SecretKey, networks: readonly string[]) {
    this.#database = database
    this.#keyFor = keyFor
    for (const network of networks) addNetwork(this.#networks, network)
  }

  /** Throws CageError `bad_request` for an address that the panel may not reach, `vault_locked`, or `conflict` when there are too many. */
  async add(
    { organizationId, name: by }: Pick<Member, 'organizationId' | 'name'>,
    { url, secret, events }: NewAlertWebhook,
  ): Promise<StoredAlertWebhook> {
    await this.#requireReachable(url)
    const key = this.#keyFor(organizationId)
    const { dialect } = this.#database
    return this.#database.within(organizationId, async (sql) => {
      // Whoever adds another one meanwhile waits here.
      const [organization] = await sql.rows<{ now: number }>(
        `SELECT ${dialect.now} AS now FROM organizations WHERE id = $1 ${dialect.forUpdate}`,
        [organizationId],
      )
      if ((await this.find(sql, organizationId)).length >= MAX_WEBHOOKS) {
        throw new CageError('conflict', `there are ${MAX_WEBHOOKS} webhooks`, { hint: 'remove one first' })
      }
      const id = newId('webhook')
      const target: Target = { url, secret }
      const sealed = seal(key, Buffer.from(JSON.stringify(target)), about(organizationId, id))
      const row: StoredAlertWebhook = {
        ...{ id, organization_id: organizationId, host: hostOf(url), events: events ? JSON.stringify(events) : null },
        ...{ nonce: sealed.nonce.toString('base64'), ciphertext: sealed.ciphertext.toString('base64') },
        ...{ created_at: organization!.now, created_by: by },
      }
      await insert(sql, 'alert_webhooks', [row])
      const details = { host: row.host, events: events?.join(' ') ?? 'all' }
      const entry = { organizationId, actor: by, action: 'webhook.created', target: id, details }
      await appendAudit(sql, dialect, [entry])
      return row
    })
  }

  /** Throws CageError `not_found`. */
  async remove({ organizationId, name: by }: Pick<Member, 'organizationId' | 'name'>, id: string): Promise<void> {
    await this.#database.within(organizationId, async (sql) => {
      const [row] = await sql.rows<{ host: string }>(
        'DELETE FROM alert_webhooks WHERE organization_id = $1 AND id = $2 RETURNING host',
        [organizationId, id],
      )
      if (!row)
        throw new CageError('not_found', `there is no webhook "${id}"`, { hint: 'GET /api/fleet/webhooks lists them' })
      const entry = { organizationId, actor: by, action: 'webhook.removed', target: id, details: { host: row.host } }
      await appendAudit(sql, this.#database.dialect, [entry])
    })
  }

  list(organizationId: string): Promise<StoredAlertWebhook[]> {
    return this.#database.within(organizationId, (sql) => this.find(sql, organizationId))
  }

  find(sql: Sql, organizationId: string): Promise<StoredAlertWebhook[]> {
    return sql.rows<StoredAlertWebhook>(
      'SELECT * FROM alert_webhooks WHERE organization_id = $1 ORDER BY created_at, id',
      [organizationId],
    )
  }

  /** Throws CageError `vault_locked` or `vault_broken`. */
  channelOf(row: StoredAlertWebhook, clock: Clock): Channel<SentKind> {
    const sealed = { nonce: Buffer.from(row.nonce, 'base64'), ciphertext: Buffer.from(row.ciphertext, 'base64') }
    const opened = unseal(this.#keyFor(row.organization_id), sealed, about(row.organization_id, row.id))
    if (!opened) throw new CageError('vault_broken', `the webhook ${row.id} of the Control Panel cannot be decrypted`)
    const target = JSON.parse(opened.toString('utf8')) as Target
    const refuse = (address: string) => this.#refusal(address, target.url)
    return webhookChannel(target, { name: row.id, kinds: [], clock, refuse })
  }

  /** Throws CageError `bad_request`. */
  async #requireReachable(url: string): Promise<void> {
    const { hostname } = new URL(url)
    const literal = hostname.replace(/^\[|\]$/g, '')
    const found = isIP(literal)
      ? [{ address: literal }]
      : await dns.lookup(hostname, { all: true }).catch(() => {
          throw new CageError('bad_request', `the name ${hostname} is not known to the panel's resolver`)
        })
    for (const { address } of found) {
      const what = this.#refusal(address, url)
      if (what === undefined) continue
      const where = hostname === address ? hostname : `${hostname} (${address})`
      throw new CageError('bad_request', `alerts cannot be sent to ${where}: it is ${what}`, {
        hint: 'use a public https address; the operator of the panel can allow other networks (alerts.networks)',
      })
    }
  }

  /** The kind of an address that the panel does not connect to for an organization; undefined for the others. */
  #refusal(address: string, url: string): string | undefined {
    if (isLinkLocal(address)) return 'a link-local or metadata address'
    if (isIn(this.#networks, address)) return undefined
    if (!isPublic(address)) return 'not a public address'
    return url.startsWith('https:') ? undefined : 'a public address, which needs https'
  }
}

/** The kinds that a webhook was set for; undefined for all. */
export const eventsOf = ({ events }: StoredAlertWebhook): PanelAlertKind[] | undefined =>
  events === null ? undefined : (JSON.parse(events) as PanelAlertKind[])

/** The purpose that a target is sealed for. */
const about = (organizationId: string, id: string): About => ['iron-cage panel alert webhook 1', organizationId, id]
