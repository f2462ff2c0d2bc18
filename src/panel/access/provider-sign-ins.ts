/**
 * Sign-ins at an identity provider. Each begins on a page and ends once, on any process of the panel, in the browser
 * where it began. The provider identifies a person; the panel decides whether that person may enter, and with which
 * role.
 */

import { tokenHash } from '../../access/run-tokens.ts'
import { sourceOf } from '../../access/sign-in-attempts.ts'
import { asCageError, CageError } from '../../core/errors.ts'
import { newToken } from '../../core/tokens.ts'
import { appendAudit } from '../db/audit-store.ts'
import type { PanelDatabase, Sql } from '../db/database.ts'
import type { Identified, IdentityProvider } from './identity-provider.ts'
import type { StoredPerson } from './people.ts'
import type { SignInFailures } from './sign-in-failures.ts'

/** How long a person may take to sign in. */
const FLOW_MS = 600_000
/** Of one address within that time, without those that succeeded. */
const MAX_FLOWS = 100

export class ProviderSignIns {
  readonly #database: PanelDatabase
  readonly #provider: IdentityProvider | undefined
  readonly #failures: SignInFailures

  constructor(database: PanelDatabase, provider: IdentityProvider | undefined, failures: SignInFailures) {
    this.#database = database
    this.#provider = provider
    this.#failures = failures
  }

  /** The provider's host; null for none. */
  get name(): string | null {
    return this.#provider?.name ?? null
  }

  /**
   * Returns where the browser signs in, and a secret that it keeps. Throws CageError `not_found` without a provider,
   * `too_many_attempts`, or `identity_provider_unreachable`.
   */
  async begin({
    organization,
    redirectUri,
    address,
  }: {
    organization: string
    redirectUri: string
    address: string
  }): Promise<{ url: string; secret: string }> {
    const provider = this.#require()
    const { system, dialect } = this.#database
    const { now } = dialect
    const secret = newToken('code')
    await system.rows(`DELETE FROM sign_in_flows WHERE expires_at < ${now}`)
    // Before anything is asked of the provider: sign-ins begun in vain trouble neither.
    const begun = await system.rows(
      `INSERT INTO sign_in_flows (hash, organization, redirect_uri, source, expires_at)
       SELECT $1, $2, $3, $4, ${now} + ${FLOW_MS} WHERE (SELECT count(*) FROM sign_in_flows WHERE source = $4) < ${MAX_FLOWS}
       RETURNING hash`,
      [tokenHash(secret), organization, redirectUri, sourceOf(address)],
    )
    if (begun.length === 0) {
      throw new CageError('too_many_attempts', `${MAX_FLOWS} sign-ins from this address are open or have failed`, {
        retryAfterS: FLOW_MS / 1000,
      })
    }
    const url = await provider.addressFor({ secret, redirectUri })
    return { url, secret }
  }

  /**
   * Returns who has signed in. `answer`: the query with which the browser came back. Throws CageError `unauthorized`
   * for an answer that is not to this sign-in, `forbidden` for a person who was not added, or
   * `identity_provider_unreachable`.
   */
  async finish({ secret, answer }: { secret: string; answer: string }): Promise<StoredPerson> {
    const provider = this.#require()
    const { system, dialect } = this.#database
    const hash = tokenHash(secret)
    // An answer is examined only once.
    const [flow] = await system.rows<{ organization: string; redirect_uri: string }>(
      `UPDATE sign_in_flows SET ended_at = ${dialect.now} WHERE hash = $1 AND ended_at IS NULL AND expires_at >= ${dialect.now}
       RETURNING organization, redirect_uri`,
      [hash],
    )
    if (!flow) {
      throw new CageError('unauthorized', 'this sign-in has expired or has already ended', { hint: 'sign in again' })
    }
    try {
      const identified = await provider.identify({ secret, redirectUri: flow.redirect_uri }, answer)
      const person = await this.#recognize(identified, flow.organization)
      await system.rows('DELETE FROM sign_in_flows WHERE hash = $1', [hash])
      return person
    } catch (error) {
      if (['unauthorized', 'forbidden'].includes(asCageError(error).code)) await this.#failures.count(flow.organization)
      throw error
    }
  }

  #require(): IdentityProvider {
    if (this.#provider) return this.#provider
    throw new CageError('not_found', 'this panel has no identity provider', {
      hint: 'sign in with a password; "iron-cage panel --oidc-issuer" configures one',
    })
  }

  /** Who signed in as this before, or, once, who was added with the address that the provider has verified. */
  async #recognize(identified: Identified, organization: string): Promise<StoredPerson> {
    const { issuer, subject } = identified
    const [row] = await this.#database.system.rows<{ id: string }>('SELECT id FROM organizations WHERE name = $1', [
      organization,
    ])
    const [known] = await this.#database.system.rows<StoredPerson>(
      'SELECT * FROM users WHERE organization_id = $1 AND issuer = $2 AND subject = $3',
      [row?.id ?? '', issuer, subject],
    )
    if (known) return known
    const email = await identified.verifiedEmail()
    if (email === undefined) {
      throw new CageError('forbidden', 'the identity provider has not verified your e-mail address', {
        hint: 'verify it there, and sign in again',
      })
    }
    const linked = row && (await this.#database.within(row.id, (sql) => this.#link(sql, row.id, identified, email)))
    if (linked) return linked
    throw new CageError('forbidden', `nobody was added to this panel with the address ${email}`, {
      hint: 'ask an admin to add you: "iron-cage users add <name> --email <address>"',
    })
  }

  async #link(
    sql: Sql,
    organizationId: string,
    { issuer, subject }: Identified,
    email: string,
  ): Promise<StoredPerson | undefined> {
    const { dialect } = this.#database
    const [person] = await sql.rows<StoredPerson>(
      `SELECT * FROM users WHERE organization_id = $1 AND email = $2 AND subject IS NULL ${dialect.forUpdate}`,
      [organizationId, email],
    )
    if (!person) return undefined
    await sql.rows('UPDATE users SET issuer = $2, subject = $3 WHERE id = $1', [person.id, issuer, subject])
    const { username: actor, id: target } = person
    const details = { email, issuer, subject }
    await appendAudit(sql, dialect, [{ organizationId, actor, action: 'user.linked', target, details }])
    return { ...person, issuer, subject }
  }
}
