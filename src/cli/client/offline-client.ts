/**
 * The client of commands that also work while no server runs: they ask the running server, or the same routes in process,
 * on the database file. Whoever may write the file is its operator.
 */
import { existsSync } from 'node:fs'
import { readServerFile } from '../../access/server-file.ts'
import type { Config } from '../../config/schema.ts'
import type { Terminal } from '../output/terminal.ts'
import { readConfig } from '../settings/read-config.ts'
import { type ApiClient, type ClientFlags, connect } from './client.ts'

export interface OfflineOptions {
  /** Create the database when there is none. (Default: then a server is needed.) */
  createsDatabase?: boolean
  /** Open the vault, which takes a moment. (Default: there are no routes for secrets.) */
  opensVault?: boolean
}

/** Throws what `connect` and `withOfflineStore` throw. */
export async function withClient<T>(
  flags: ClientFlags,
  terminal: Terminal,
  use: (client: ApiClient) => Promise<T>,
  { createsDatabase = false, opensVault = false }: OfflineOptions = {},
): Promise<T> {
  if (terminal.env.serverUrl !== undefined) return use(connect(flags, terminal))
  const { config } = await readConfig(flags, terminal)
  const works = createsDatabase ? !(await readServerFile(config.db.path)) : await isOffline(config)
  if (!works) return use(connect(flags, terminal))
  // The database and the routes take longer to load than a request to a server.
  const { withOfflineRoutes } = await import('./offline-routes.ts')
  return withOfflineRoutes(config, terminal, use, opensVault)
}

/** True when there is a database and no server uses it. */
export const isOffline = async ({ db }: Config): Promise<boolean> =>
  existsSync(db.path) && !(await readServerFile(db.path))
