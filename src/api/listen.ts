/** Listens on one port of several addresses, and closes what listens. */
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Clock } from '../clock.ts'
import { CageError } from '../errors.ts'
import { answerClientErrors } from './client-error.ts'

/** Longest an idle client connection is kept, in ms; longer than SDKs keep theirs, so that they close first. */
const KEEP_ALIVE_MS = 75_000
/** In bytes, all names and values together; leaves room for cookies of other sites on localhost. */
const MAX_HEADER_BYTES = 32_768
/** How long running calls may take to end when the server closes, in ms. */
const CLOSE_MS = 2_000

/** Where to listen. This machine's agents and people can always use both loopback addresses. */
export function addressesOf(host: string): string[] {
  if (host === '0.0.0.0') return [host, '::1']
  if (host === '::') return [host, '0.0.0.0']
  return [...new Set([...(host === 'localhost' ? [] : [host]), '127.0.0.1', '::1'])]
}

/**
 * On the same port everywhere; each set up by `equip`. `isUpgraded`: which requests become another protocol. Throws
 * CageError `port_taken` naming the address.
 */
export async function listenOnAll(
  [first, ...others]: readonly string[],
  port: number,
  clock: Clock,
  equip: (server: Server) => void,
  isUpgraded: (request: IncomingMessage) => boolean,
): Promise<Server[]> {
  const open = async (address: string, at: number): Promise<Server> => {
    const server = createServer({
      keepAliveTimeout: KEEP_ALIVE_MS,
      noDelay: true,
      maxHeaderSize: MAX_HEADER_BYTES,
      shouldUpgradeCallback: isUpgraded,
    })
    answerClientErrors(server)
    equip(server)
    await listen(server, address, at)
    return server
  }
  const servers = [await open(first!, port)]
  const taken = (servers[0]!.address() as AddressInfo).port
  for (const address of others) {
    try {
      servers.push(await open(address, taken))
    } catch (error) {
      // On a machine without IPv6 no other program can take the port there either.
      if (address === '::1' && error instanceof CageError && error.facts.fault !== 'EADDRINUSE') continue
      await Promise.all(servers.map((server) => closeServer(server, clock)))
      throw error
    }
  }
  return servers
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const address = `${host.includes(':') ? `[${host}]` : host}:${port}`
      const why = error.code === 'EADDRINUSE' ? 'is taken by another program' : `cannot be used (${error.code})`
      reject(
        new CageError('port_taken', `${address} ${why}`, {
          facts: { host, port, fault: error.code ?? null },
          cause: error,
        }),
      )
    })
    server.listen({ host, port, ipv6Only: host.includes(':') }, resolve)
  })
}

export function closeServer(server: Server, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const timer = clock.after(CLOSE_MS, () => server.closeAllConnections())
    server.close(() => {
      timer.cancel()
      resolve()
    })
    server.closeIdleConnections()
  })
}
