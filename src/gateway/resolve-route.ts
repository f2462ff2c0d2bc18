/** Resolves the URL of a request to the kind of call that it makes. Pure. */
import { CageError } from '../core/errors.ts'
import { holdsOwnToken } from '../core/tokens.ts'
import type { Dialect, Format } from '../dialects/dialect.ts'
import { BUILT_IN } from '../dialects/known-providers.ts'
import { type FoundRoute, findRoute, normalizePath } from '../dialects/routes.ts'
import type { GatewayAddress } from './caller.ts'
import { isVendors, type Provider } from './provider/provider.ts'
import { type AllowedRoute, allowedRoute } from './run-route-call.ts'

/** A call of a provider. `path`: as it is sent, with query. */
export type ProviderRoute = { provider: Provider; path: string } & (
  | { kind: 'metered'; format: Format; model: FoundRoute['model'] }
  /** Its price is fixed by the configuration. */
  | { kind: 'priced'; allowed: AllowedRoute }
  | { kind: 'unmetered' }
)

export type GatewayRoute =
  | ProviderRoute
  | { kind: 'service'; name: string; path: string }
  /** Claude Code sends HEAD to check that the server is reachable. */
  | { kind: 'probe' }

/**
 * `provider`: undefined for a service, and if none has the name. Throws CageError `bad_request` for a path that is not
 * sent as it is, `not_found` for an unknown provider, and `price_unknown` for a call that has no price.
 */
export function resolveRoute(
  { isService, name, path: given }: GatewayAddress,
  provider: Provider | undefined,
  method: string,
): GatewayRoute {
  const path = forwardedPath(given, provider?.dialect)
  if (isService) return { kind: 'service', name, path }
  if (!provider) {
    throw new CageError('not_found', `there is no provider "${name}"`, {
      hint: `use ${BUILT_IN.join(', ')}, a configured provider, or services/<name>`,
    })
  }
  return method === 'HEAD' ? { kind: 'probe' } : providerRoute(provider, method, path)
}

function providerRoute(provider: Provider, method: string, given: string): ProviderRoute {
  const { dialect } = provider
  const plain = given.split('?', 1)[0]!
  const { prefix, path } = normalizePath(plain, dialect)
  const { route, model } = findRoute(dialect.routes, method, path, isVendors(provider))
  const yieldsToConfig = route === 'blocked' || (route !== 'unmetered' && route.yieldsToConfig)
  const allowed = yieldsToConfig ? allowedRoute(provider, method, path) : undefined
  const sent = { provider, path: prefix + path + given.slice(plain.length) }
  if (allowed) return { ...sent, kind: 'priced', allowed }
  if (route === 'blocked') throw unpriced(provider, method, path)
  if (route === 'unmetered') return { ...sent, kind: 'unmetered' }
  return { ...sent, kind: 'metered', format: route, model: model && { ...model, at: prefix.length + model.at } }
}

const unpriced = (provider: Provider, method: string, path: string): CageError =>
  new CageError('price_unknown', `${method} ${path} of ${provider.name} has no price, so it was not sent`, {
    facts: { provider: provider.name, path },
    hint: `to allow it, add "${method} ${path.replaceAll(ID, '/{id}')}" with its price under "providers.${provider.name}.routes" in the configuration`,
  })

/** A segment that is likely to be an id: it has a digit. */
const ID = /\/[^/]*\d[^/]*(?=\/|$)/g

/**
 * Removes keys that clients put into the query, and parameters that the dialect does not forward. Throws CageError
 * `bad_request` for a path with one of our tokens.
 */
function forwardedPath(pathAndQuery: string, dialect: Dialect | undefined): string {
  const isRestricted = dialect?.query !== undefined && pathAndQuery.includes('?')
  if (!isRestricted && !holdsOwnToken(pathAndQuery)) return pathAndQuery
  const [path = '', ...query] = pathAndQuery.split('?')
  if (holdsOwnToken(path)) throw new CageError('bad_request', 'the path contains a token of Iron Cage')
  const kept = query
    .join('?')
    .split('&')
    .filter((parameter) => !holdsOwnToken(parameter) && (!isRestricted || dialect.query!.test(parameter)))
  return [path, ...(kept.length > 0 ? [kept.join('&')] : [])].join('?')
}
