/**
 * API tokens: for clients that nobody supervises (an IDE, a notebook, a script of an operator). 256 random bits with the
 * prefix `ic_`, shown once, kept as SHA-256. A token of the role agent makes calls as one agent, with that agent's budget.
 * Expiry and revocation hold from the next request on.
 */
import { type Clock, isoTime } from '../clock.ts'
import { type ApiTokenRow, type ApiTokenTable, apiTokenTable } from '../db/api-tokens.ts'
import type { Database } from '../db/database.ts'
import { CageError } from '../errors.ts'
import { type AgentId, newApiTokenId, newToken } from '../ids.ts'
import type { Role } from './roles.ts'
import { hashOf } from './run-tokens.ts'

export interface NewApiToken {
  name: string
  role: Role
  /** The agent as which it makes calls; for the role agent, and no other. */
  agentId: AgentId | null
  /** (Default: never.) */
  expiresInS?: number | undefined
}

/** What may be shown of a token at any time. */
export type ApiToken = Omit<ApiTokenRow, 'hash'>

export class ApiTokens {
  readonly #clock: Clock
  readonly #table: ApiTokenTable
  /** Every token that was not revoked, by hash: looked up at each request. */
  readonly #byHash: Map<string, ApiTokenRow>

  constructor({ database, clock }: { database: Database; clock: Clock }) {
    this.#clock = clock
    this.#table = apiTokenTable(database)
    const living = this.#table.all().filter((row) => row.revoked_at === null)
    this.#byHash = new Map(living.map((row) => [row.hash, row]))
  }

  /** The token itself is in the answer this once. */
  create({ name, role, agentId, expiresInS }: NewApiToken): ApiToken & { token: string } {
    const token = newToken('ic')
    const now = this.#clock.now()
    const row: ApiTokenRow = {
      id: newApiTokenId(),
      name,
      role,
      agent_id: agentId,
      hash: hashOf(token),
      created_at: isoTime(now),
      expires_at: expiresInS === undefined ? null : isoTime(now + expiresInS * 1000),
      revoked_at: null,
    }
    this.#table.insert(row)
    this.#byHash.set(row.hash, row)
    return { ...shown(row), token }
  }

  /** The token's row while it works; undefined for anything else. */
  find(token: string): ApiToken | undefined {
    const row = token.startsWith('ic_') ? this.#byHash.get(hashOf(token)) : undefined
    if (!row || (row.expires_at !== null && Date.parse(row.expires_at) <= this.#clock.now())) return undefined
    return shown(row)
  }

  /** Oldest first, revoked and expired ones too. */
  list(): ApiToken[] {
    return this.#table.all().map(shown)
  }

  /** Throws CageError `not_found`. */
  revoke(id: string): void {
    if (!this.#table.revoke(id, isoTime(this.#clock.now()))) {
      throw new CageError('not_found', `there is no token "${id}" that still works`, {
        hint: 'list them with "iron-cage tokens list"',
      })
    }
    for (const [hash, row] of this.#byHash) if (row.id === id) this.#byHash.delete(hash)
  }
}

const shown = ({ hash: _hash, ...row }: ApiTokenRow): ApiToken => row
