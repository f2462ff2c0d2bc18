/**
 * Who may come in: people by password or link, clients by API token, agents by the token of their run; readers of one
 * report by its link.
 */
import type { Clock } from '../core/clock.ts'
import type { Store } from '../db/store.ts'
import { ApiTokens } from './api-tokens.ts'
import { Peers } from './peers.ts'
import { ReportLinks } from './report-links.ts'
import { RunTokens } from './run-tokens.ts'
import { Sessions } from './sessions.ts'
import { Users } from './users.ts'

export interface Access {
  users: Users
  sessions: Sessions
  apiTokens: ApiTokens
  runTokens: RunTokens
  reportLinks: ReportLinks
  /** The processes at the other ends of connections. */
  peers: Peers
}

export interface AccessOptions {
  store: Pick<Store, 'users' | 'sessions' | 'apiTokens' | 'reportLinks'>
  clock: Clock
  /** Opens everything for the person who started the server. */
  operatorToken: string
  /** Sessions outlive a server that has one. (Default: they do not.) */
  signingKey?: Uint8Array | undefined
  /** (Default: those of the store.) */
  users?: Users
}

export function openAccess({ store, clock, users = new Users({ store, clock }), ...own }: AccessOptions): Access {
  const peers = new Peers(clock)
  return {
    users,
    sessions: new Sessions({ store, clock, users, ...own }),
    apiTokens: new ApiTokens({ store, clock }),
    runTokens: new RunTokens(peers),
    reportLinks: new ReportLinks({ store, clock }),
    peers,
  }
}
