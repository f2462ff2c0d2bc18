/**
 * The store: the database file with the statements of all its tables, each prepared once. Parts receive the store and
 * use the tables they need; two methods write to several tables at once: `transaction` immediately, `groupCommit` at
 * the end of the turn.
 */

import { type Database, type DatabaseOptions, openDatabase, readDatabase } from './database.ts'
import { apiTokenTable } from './tables/api-tokens.ts'
import { auditTable } from './tables/audit.ts'
import { budgetTable } from './tables/budgets.ts'
import { callSearchTable } from './tables/call-search.ts'
import { callTable } from './tables/calls.ts'
import { checkpointTable } from './tables/checkpoints.ts'
import { contentTable } from './tables/contents.ts'
import { eventTable } from './tables/events.ts'
import { incidentTable } from './tables/incidents.ts'
import { leaseTable } from './tables/leases.ts'
import { metaTable } from './tables/meta.ts'
import { outboxTable } from './tables/outbox.ts'
import { pastAgentTable } from './tables/past-agents.ts'
import { reportLinkTable } from './tables/report-links.ts'
import { runTable } from './tables/runs.ts'
import { secretTable } from './tables/secrets.ts'
import { serviceCacheTable } from './tables/service-cache.ts'
import { sessionTable } from './tables/sessions.ts'
import { userTable } from './tables/users.ts'

export interface Store extends Database, ReturnType<typeof tablesOf> {}

/** Must be closed. Throws CageError `database_unusable` or `audit_broken`, like `openDatabase`. */
export function openStore(options: DatabaseOptions): Store {
  const database = openDatabase(options)
  return { ...database, ...tablesOf(database) }
}

/** The read-only part of a store, available even while a server writes it. Throws like `readDatabase`. */
export interface ReadStore extends Pick<Store, 'orm' | 'audit' | 'events' | 'meta' | 'runs' | 'secrets'>, Disposable {}

export function readStore(path: string): ReadStore {
  const database = readDatabase(path)
  return {
    ...database,
    audit: auditTable(database),
    events: eventTable(database),
    meta: metaTable(database),
    runs: runTable(database),
    secrets: secretTable(database),
  }
}

const tablesOf = (database: Database) => ({
  apiTokens: apiTokenTable(database),
  audit: auditTable(database),
  budgets: budgetTable(database),
  calls: callTable(database),
  callSearch: callSearchTable(database),
  checkpoints: checkpointTable(database),
  contents: contentTable(database),
  events: eventTable(database),
  incidents: incidentTable(database),
  leases: leaseTable(database),
  meta: metaTable(database),
  outbox: outboxTable(database),
  pastAgents: pastAgentTable(database),
  reportLinks: reportLinkTable(database),
  runs: runTable(database),
  secrets: secretTable(database),
  serviceCache: serviceCacheTable(database),
  sessions: sessionTable(database),
  users: userTable(database),
})
