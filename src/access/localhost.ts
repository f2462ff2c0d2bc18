/**
 * The origin guard. Every page in the user's browser can reach a server on localhost. So each request, upgrades included,
 * must name this server as its Host (against DNS rebinding) and must not come from a page of another origin, not even one
 * on another port of this machine.
 */
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { CageError } from '../core/errors.ts'

export interface OriginGuard {
  /** Throws CageError `host_refused` or `origin_refused`. */
  check(request: IncomingMessage): void
  /** The origin of the request if it is one of `corsOrigins`, whose pages may read the response. */
  allowedCorsOrigin(request: IncomingMessage): string | undefined
}

/**
 * `port`: where the server listens. `allowedHosts`: further exact Host values. `corsOrigins`: further exact origins.
 * `isEncrypted`: for other machines. (Default: no.)
 */
export function createOriginGuard(
  port: number,
  allowedHosts: readonly string[],
  corsOrigins: readonly string[],
  isEncrypted = false,
): OriginGuard {
  const hosts = new Set([`localhost:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`, ...allowedHosts.map(lower)])
  const encrypted = isEncrypted ? allowedHosts.map((host) => `https://${lower(host)}`) : []
  const own = new Set([...[...hosts].map((host) => `http://${host}`), ...encrypted])
  const guests = new Set(corsOrigins.map(lower))
  const allowedCorsOrigin = ({ headers: { origin } }: IncomingMessage) =>
    origin !== undefined && guests.has(origin.toLowerCase()) ? origin : undefined
  return {
    allowedCorsOrigin,
    check(request) {
      const { host, origin, 'sec-fetch-site': site } = request.headers
      if (host === undefined || !hosts.has(host.toLowerCase())) {
        throw new CageError('host_refused', 'the request names another host than this server')
      }
      if (allowedCorsOrigin(request) !== undefined) return
      const isForeign = origin !== undefined && !own.has(origin.toLowerCase())
      const isFromElsewhere = site !== undefined && site !== 'same-origin' && site !== 'none' && !isLink(request)
      if (isForeign || isFromElsewhere) {
        throw new CageError('origin_refused', 'the request comes from a page of another site')
      }
    },
  }
}

/** The exact paths of the dashboard's pages; links from elsewhere may lead only here. */
const PAGE = /^\/(index\.html|reports\/[\w-]+|shared)?$/

/** True for a link from another site to the dashboard: a navigation, not a frame and not a request for anything else. */
function isLink({ method, url = '/', headers }: IncomingMessage): boolean {
  return (
    method === 'GET' &&
    headers['sec-fetch-mode'] === 'navigate' &&
    (headers['sec-fetch-dest'] ?? 'document') === 'document' &&
    headers.upgrade === undefined &&
    PAGE.test(url.split('?', 1)[0]!)
  )
}

const lower = (text: string): string => text.toLowerCase()

/** True when `host` is reachable from this machine only. */
export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))

/**
 * Requires that the operator allowed remote access and that a user or token exists to sign in with. Throws CageError
 * `invalid_config` naming the missing part.
 */
export function requireLocalOrInvited(server: { host: string; allow_remote: boolean }, userCount: number): void {
  if (isLoopback(server.host)) return
  const missing = [
    ...(server.allow_remote ? [] : ['server.allow_remote: true (or --allow-remote)']),
    ...(userCount > 0 ? [] : ['a user ("iron-cage users add <name> --role admin")']),
  ]
  if (missing.length === 0) return
  throw new CageError('invalid_config', `other machines reach ${server.host}, which needs ${missing.join(' and ')}`, {
    facts: { host: server.host },
    hint: 'leave out --host to stay on this machine, or add what is missing and the name that clients use to server.allowed_hosts',
  })
}
