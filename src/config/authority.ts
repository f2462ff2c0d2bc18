/** Names a place on the network as a client of a proxy does: a host and a port. */
import { isIP, isIPv4, isIPv6 } from 'node:net'

export interface Authority {
  /** A name in lower case, as A-labels, or an address without brackets. */
  host: string
  port: number
}

/** The port of an entry that names none. */
export const TLS_PORT = 443
/** The port of plain HTTP. */
export const PLAIN_PORT = 80
const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const MAX_NAME = 253

/**
 * Reads "host:port" or "[address]:port". Only letters, digits, hyphens and dots make a name: undefined for a text that
 * a resolver and this list could read differently ("127.1", "0x7f.1", a final dot, an escape, a user).
 */
export function parseAuthority(text: string): Authority | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(text)
  if (!match) return undefined
  const [, bracketed, plain, digits] = match
  const port = Number(digits)
  if (port < 1 || port > 65_535) return undefined
  if (bracketed !== undefined) return isIPv6(bracketed) ? { host: canonical(bracketed), port } : undefined
  const host = plain!.toLowerCase()
  return isIPv4(host) || isName(host) ? { host, port } : undefined
}

/** A host name whose last label is no number: resolvers read such a name as an address. */
export const isName = (host: string): boolean =>
  host.length <= MAX_NAME &&
  host.split('.').every((label) => LABEL.test(label)) &&
  !/(^|\.)(\d+|0x[0-9a-f]*)$/.test(host)

/** One spelling of an IPv6 address. */
const canonical = (address: string): string => new URL(`http://[${address}]`).hostname.slice(1, -1)

export const showAuthority = ({ host, port }: Authority): string =>
  isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`

/** How a list of hosts names it. */
export const entryFor = (to: Authority): string => (to.port === TLS_PORT ? to.host : showAuthority(to))

/** The authority of a URL, with the default port of its scheme. */
export function authorityOf({ hostname, port, protocol }: URL): Authority {
  return {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? (protocol === 'https:' ? TLS_PORT : PLAIN_PORT) : Number(port),
  }
}
