/**
 * Links that show the report of one agent, and nothing else, to their holders, until they expire or are revoked: 256
 * random bits with the prefix `link_`, shown once, stored as SHA-256.
 */
import { type Clock, forwardTime, isoTime } from '../core/clock.ts'
import { CageError } from '../core/errors.ts'
import { type AgentId, newReportLinkId } from '../core/ids.ts'
import { newToken } from '../core/tokens.ts'
import type { Store } from '../db/store.ts'
import type { ReportLinkRow } from '../db/tables/report-links.ts'
import { tokenHash } from './run-tokens.ts'

/** The fields of a link that may always be shown. */
export type ReportLink = Omit<ReportLinkRow, 'hash' | 'revoked_at'>

export interface NewReportLink {
  agentId: AgentId
  expiresInS: number
  /** Name of its creator. */
  createdBy: string
}

export class ReportLinks {
  readonly #table: Store['reportLinks']
  readonly #clock: Clock
  readonly #forwardNow: () => number

  constructor({ store, clock }: { store: Pick<Store, 'reportLinks'>; clock: Clock }) {
    this.#table = store.reportLinks
    this.#clock = clock
    this.#forwardNow = forwardTime(clock)
  }

  /** Creates a link. Only this result holds its token. */
  create({ agentId, expiresInS, createdBy }: NewReportLink): ReportLink & { token: string } {
    const token = newToken('link')
    const now = this.#clock.now()
    const link: ReportLink = {
      id: newReportLinkId(),
      agent_id: agentId,
      created_at: isoTime(now),
      expires_at: isoTime(now + expiresInS * 1000),
      created_by: createdBy,
    }
    this.#table.insert({ ...link, hash: tokenHash(token), revoked_at: null })
    return { ...link, token }
  }

  /** Returns the link of a valid token, else undefined. */
  find(token: string): ReportLink | undefined {
    const row = token.startsWith('link_') ? this.#table.byHash(tokenHash(token)) : undefined
    return row && Date.parse(row.expires_at) > this.#forwardNow() ? shown(row) : undefined
  }

  /** The valid links of an agent, newest first. */
  list(agentId: AgentId): ReportLink[] {
    return this.#table.ofAgent(agentId, isoTime(this.#forwardNow())).map(shown)
  }

  /** Throws CageError `not_found`. */
  revoke(id: string): void {
    if (this.#table.revoke(id, isoTime(this.#clock.now()))) return
    throw new CageError('not_found', `there is no link "${id}" that still works`, {
      hint: 'list them with "iron-cage report <id> --links"',
    })
  }
}

const shown = ({ hash: _hash, revoked_at: _revokedAt, ...link }: ReportLinkRow): ReportLink => link
