/**
 * The door. A server on localhost is reachable by every page the user's browser has open, so every request, also an
 * upgrade, must name this server as its Host (no DNS rebinding) and must not come from another site's page.
 */
import type { IncomingMessage } from 'node:http'
import { CageError } from '../errors.ts'

export interface Door {
  /** Throws CageError `host_refused` or `origin_refused`. */
  check(request: IncomingMessage): void
}

/** `port`: the one that listens. `allowedHosts`: further exact Host values. `corsOrigins`: further exact origins. */
export function openDoor(port: number, allowedHosts: readonly string[], corsOrigins: readonly string[]): Door {
  const hosts = new Set([`localhost:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`, ...allowedHosts.map(lower)])
  const origins = new Set([...[...hosts].map((host) => `http://${host}`), ...corsOrigins.map(lower)])
  return {
    check({ headers }) {
      const host = headers.host?.toLowerCase()
      if (host === undefined || !hosts.has(host)) {
        throw new CageError('host_refused', 'the request names another host than this server')
      }
      const { origin, 'sec-fetch-site': site } = headers
      if (origin !== undefined && !origins.has(origin.toLowerCase())) {
        throw new CageError('origin_refused', 'the request comes from a page of another site')
      }
      // A page elsewhere may link to the dashboard; it may not reach anything else.
      if (site === 'cross-site' && headers['sec-fetch-mode'] !== 'navigate') {
        throw new CageError('origin_refused', 'the request comes from a page of another site')
      }
    },
  }
}

const lower = (text: string): string => text.toLowerCase()
