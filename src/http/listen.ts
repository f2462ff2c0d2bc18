/** Listens on one port of several addresses, and closes what listens. */
import { createServer, type IncomingMessage, type Server as PlainServer } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { Clock } from '../core/clock.ts'
import { CageError } from '../core/errors.ts'
import type { Certificate } from './certificate.ts'
import { answerClientErrors } from './client-error.ts'
import { ownerOfPort } from './port-owner.ts'

export type Server = PlainServer | TlsServer

/** Longest an idle client connection is kept, in ms; longer than SDKs keep theirs, so that they close first. */
const KEEP_ALIVE_MS = 75_000
/** Connections that wait to be accepted. With Node's 511 a fleet that connects at once has some wait for seconds. */
const BACKLOG = 4_096
/** In bytes, all names and values together; leaves room for cookies of other sites on localhost. */
export const MAX_HEADER_BYTES = 32_768
/** How long a client may take to agree on encryption, in ms. */
const HANDSHAKE_MS = 10_000
/** How long running calls may take to end when the server closes, in ms. */
const CLOSE_MS = 2_000

/** Addresses that only this machine reaches, which agents and commands use: they are never encrypted. */
const LOCAL = ['127.0.0.1', '::1']

/**
 * Where to listen. This machine's agents and people can always use both loopback addresses. `isEncrypted`: "every address"
 * is each that the machine has now, as loopback is not encrypted.
 */
export function addressesOf(host: string, isEncrypted = false): string[] {
  if (isEncrypted && (host === '0.0.0.0' || host === '::')) {
    const families = host === '::' ? ['IPv4', 'IPv6'] : ['IPv4']
    const all = Object.values(networkInterfaces()).flatMap((found) => found ?? [])
    const others = all.filter(({ internal, family, scopeid }) => !internal && families.includes(family) && !scopeid)
    return [...others.map(({ address }) => address), ...LOCAL]
  }
  if (host === '0.0.0.0') return [host, '::1']
  if (host === '::') return [host, '0.0.0.0']
  return [...new Set([...(host === 'localhost' ? [] : [host]), ...LOCAL])]
}

/**
 * On the same port everywhere; each set up by `equip`. `isUpgraded`: which requests become another protocol.
 * `certificate`: of all addresses but the local ones. (Default: none.) Throws CageError `port_taken` naming the address.
 */
export async function listenOnAll(
  [first, ...others]: readonly string[],
  port: number,
  clock: Clock,
  equip: (server: Server) => void,
  isUpgraded: (request: IncomingMessage) => boolean,
  certificate?: Certificate,
): Promise<Server[]> {
  const open = async (address: string, at: number): Promise<Server> => {
    const options = {
      keepAliveTimeout: KEEP_ALIVE_MS,
      noDelay: true,
      maxHeaderSize: MAX_HEADER_BYTES,
      shouldUpgradeCallback: isUpgraded,
    }
    const server =
      certificate && !LOCAL.includes(address)
        ? createTlsServer({ ...options, ...certificate, handshakeTimeout: HANDSHAKE_MS, ALPNProtocols: ['http/1.1'] })
        : createServer(options)
    answerClientErrors(server)
    equip(server)
    await listen(server, address, at).catch((error: unknown) => nameOwner(error, clock))
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
      const why = error.code === 'EADDRINUSE' ? 'is taken by another program' : `cannot be used (${error.code})`
      reject(
        new CageError('port_taken', `${addressOf(host, port)} ${why}`, {
          facts: { host, port, fault: error.code ?? null },
          cause: error,
        }),
      )
    })
    server.listen({ host, port, ipv6Only: host.includes(':'), backlog: BACKLOG }, resolve)
  })
}

/** Throws the error, and names another Iron Cage that has the port. */
async function nameOwner(error: unknown, clock: Clock): Promise<never> {
  if (!(error instanceof CageError) || error.facts.fault !== 'EADDRINUSE') throw error
  const { host, port } = error.facts
  const address = addressOf(String(host), Number(port))
  const owner = await ownerOfPort(`http://${address}`, clock)
  if (owner === undefined) throw error
  throw new CageError('port_taken', `${address} is taken by ${owner}`, {
    facts: { host, port },
    hint: `choose another port, such as --port ${Number(port) + 1}, or --port 0 for any that is free; that one uses another database`,
    cause: error,
  })
}

const addressOf = (host: string, port: number): string => `${host.includes(':') ? `[${host}]` : host}:${port}`

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
