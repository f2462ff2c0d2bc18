/**
 * API tokens for clients without supervision (an IDE, a notebook, an operator's script): 256 random bits with the prefix
 * `ic_`, shown once, stored as SHA-256. A token with the role agent makes calls as one agent, within that agent's budget.
 * Expiry applies from the next request on, even when the clock goes back; revocation also ends running calls. After
 * `rotate` the old token keeps working for a while, so that its holder can be given the new one.
 */
import { type Clock, forwardTime, isoTime } from '../core/clock.ts'
import { CageError } from '../core/errors.ts'
import { type AgentId, newApiTokenId } from '../core/ids.ts'
import { newToken } from '../core/tokens.ts'
import type { Store } from '../db/store.ts'
import type { ApiTokenRow, ApiTokenTable } from '../db/tables/api-tokens.ts'
import type { Role } from './roles.ts'
import { tokenHash } from './run-tokens.ts'

export interface NewApiToken {
  name: string
  role: Role
  /** The agent that its calls belong to. Only for the role agent. */
  agentId: AgentId | null
  /** (Default: never.) */
  expiresInS?: number | undefined
  /** Name of its creator. */
  createdBy: string
}

/** The fields of a token that may always be shown. */
export type ApiToken = Omit<ApiTokenRow, 'hash'>

export class ApiTokens {
  readonly #clock: Clock
  readonly #forwardNow: () => number
  readonly #revoked = new Set<(id: string) => void>()
  readonly #table: ApiTokenTable
  /** Tokens that are not revoked, by hash; read at each request. */
  readonly #byHash: Map<string, ApiToken>

  constructor({ store, clock }: { store: Pick<Store, 'apiTokens'>; clock: Clock }) {
    this.#clock = clock
    this.#forwardNow = forwardTime(clock)
    this.#table = store.apiTokens
    const living = this.#table.all().filter((row) => row.revoked_at === null)
    this.#byHash = new Map(living.map((row) => [row.hash, shown(row)]))
  }

  /** Creates a token. Only this result holds its value. */
  create({ name, role, agentId, expiresInS, createdBy }: NewApiToken): ApiToken & { token: string } {
    const token = newToken('ic')
    const now = this.#clock.now()
    const row: ApiTokenRow = {
      id: newApiTokenId(),
      name,
      role,
      agent_id: agentId,
      hash: tokenHash(token),
      created_at: isoTime(now),
      expires_at: expiresInS === undefined ? null : isoTime(now + expiresInS * 1000),
      revoked_at: null,
      created_by: createdBy,
    }
    this.#table.insert(row)
    this.#byHash.set(row.hash, shown(row))
    return { ...shown(row), token }
  }

  /**
   * Replaces a token by one with the same name, role, agent and lifetime. The old one expires in `overlapS` seconds, or
   * earlier if it would have expired anyway. Throws CageError `not_found`.
   */
  rotate(id: string, { overlapS, createdBy }: { overlapS: number; createdBy: string }): ApiToken & { token: string } {
    const found = [...this.#byHash].find(([, row]) => row.id === id && !this.#hasExpired(row))
    if (!found) throw unknown(id)
    const [hash, old] = found
    const lifeMs = old.expires_at === null ? undefined : Date.parse(old.expires_at) - Date.parse(old.created_at)
    const created = this.create({
      name: old.name,
      role: old.role,
      agentId: old.agent_id,
      expiresInS: lifeMs === undefined ? undefined : lifeMs / 1000,
      createdBy,
    })
    const ends = isoTime(this.#clock.now() + overlapS * 1000)
    if (old.expires_at === null || ends < old.expires_at) {
      this.#table.expire(id, ends)
      this.#byHash.set(hash, { ...old, expires_at: ends })
    }
    return created
  }

  /** Returns the row of a valid token, else undefined. */
  find(token: string): ApiToken | undefined {
    const row = token.startsWith('ic_') ? this.#byHash.get(tokenHash(token)) : undefined
    return row && !this.#hasExpired(row) ? row : undefined
  }

  /** True while the token with this id is valid. */
  works(id: string): boolean {
    return [...this.#byHash.values()].some((row) => row.id === id && !this.#hasExpired(row))
  }

  /** All tokens, oldest first, including revoked and expired ones. */
  list(): ApiToken[] {
    return this.#table.all().map(shown)
  }

  /** Calls `listener` with the id of each revoked token. */
  onRevoked(listener: (id: string) => void): void {
    this.#revoked.add(listener)
  }

  /** Throws CageError `not_found`. */
  revoke(id: string): void {
    if (!this.#table.revoke(id, isoTime(this.#clock.now()))) throw unknown(id)
    for (const [hash, row] of this.#byHash) if (row.id === id) this.#byHash.delete(hash)
    for (const listener of this.#revoked) listener(id)
  }

  #hasExpired({ expires_at }: ApiToken): boolean {
    return expires_at !== null && Date.parse(expires_at) <= this.#forwardNow()
  }
}

const unknown = (id: string): CageError =>
  new CageError('not_found', `there is no token "${id}" that still works`, {
    hint: 'list them with "iron-cage tokens list"',
  })

const shown = ({ hash: _hash, ...row }: ApiTokenRow): ApiToken => row
