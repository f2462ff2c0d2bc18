/** The API's routes in this process, on a database that no server uses. */
import { Hono } from 'hono'
import { openAccess } from '../../access/open-access.ts'
import { type SecretDeps, secretRoutes } from '../../api/secrets.ts'
import { originalRoutes } from '../../api/state.ts'
import { storeRoutes } from '../../api/store-routes.ts'
import { Circuits } from '../../breaker/circuits.ts'
import type { Config } from '../../config/schema.ts'
import { systemClock } from '../../core/clock.ts'
import { CageError } from '../../core/errors.ts'
import { newToken } from '../../core/tokens.ts'
import { errorResponse } from '../../http/error-response.ts'
import { type Env, guard } from '../../http/guard.ts'
import { Refusals } from '../../http/refusals.ts'
import { type Route, serveRoutes } from '../../http/route.ts'
import { Safety } from '../../redaction/safety.ts'
import type { Vault } from '../../vault/vault.ts'
import type { Terminal } from '../output/terminal.ts'
import { type ApiClient, readApiReply } from './client.ts'
import { type OfflineStore, withOfflineStore, withOfflineVault } from './offline-store.ts'

/** `opensVault`: serve the routes for secrets as well. Throws what `withOfflineStore` throws. */
export const withOfflineRoutes = <T>(
  config: Config,
  terminal: Terminal,
  use: (client: ApiClient) => Promise<T>,
  opensVault: boolean,
): Promise<T> =>
  withOfflineStore(config, (offline) =>
    opensVault
      ? withOfflineVault(offline, terminal, (vault) => use(clientOf(config, offline, vault)))
      : use(clientOf(config, offline)),
  )

/** A panel is asked by servers only. */
const NO_PANEL = { list: () => [] }
/** No agent runs, so none may have a secret. */
const NO_AGENTS = { isEntitled: () => false }

function clientOf(config: Config, offline: OfflineStore, vault?: Vault): ApiClient {
  const clock = systemClock
  const operatorToken = newToken('ic')
  const safety = new Safety(config.safety)
  const access = openAccess({ store: offline.store, clock, operatorToken })
  const configured = [...Object.keys(config.providers), ...Object.keys(config.services)]
  const gateway = { circuits: new Circuits({ state: offline.state, clock, configured }) }
  const deps = { ...offline, config, clock, safety, access, gateway }
  const routes = [
    ...storeRoutes(deps),
    ...(vault ? vaultRoutes({ ...deps, secrets: { vault, central: NO_PANEL, rotation: NO_AGENTS } }) : []),
  ]
  const app = serveRoutes(new Hono<Env>(), routes, guard({ ...deps, refusals: new Refusals(deps) }))
    .notFound(needsServer)
    .onError((error, context) => errorResponse(context, error, rethrow, safety.scrub))
  return clientOfRoutes(app, offline.store.path, operatorToken)
}

const vaultRoutes = (deps: SecretDeps): Route[] => [...secretRoutes(deps), ...originalRoutes(deps)]

function needsServer({ req }: { req: { method: string; path: string } }): never {
  throw new CageError('not_found', `there is no ${req.method} ${req.path} without a server`, {
    hint: 'start one with "iron-cage serve"',
  })
}

/** Without a server there is no log for unexpected errors. */
function rethrow(fault: unknown): never {
  throw fault
}

const clientOfRoutes = (routes: Hono<Env>, path: string, token: string): ApiClient => ({
  file: path,
  send: async <Body>(method: string, route: string, body?: unknown) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const request = { method, headers, body: body === undefined ? undefined : JSON.stringify(body) }
    const reply = await routes.request(route, request)
    const type = reply.headers.get('content-type') ?? ''
    return readApiReply(path, { status: reply.status, type, text: await reply.text() }) as Body
  },
})
