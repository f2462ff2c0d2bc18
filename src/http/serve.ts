/**
 * Listens for one application: a server's or a Control Panel's. The order of the lines in `onRequest` is the order that
 * runs: a connection to spare, few headers, the origin guard, pages of other sites that may read, then the application.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { Server as TlsServer } from 'node:tls'
import { Hono } from 'hono'
import { createOriginGuard, type OriginGuard } from '../access/localhost.ts'
import type { Clock } from '../core/clock.ts'
import { asCageError, CageError } from '../core/errors.ts'
import { newRequestId } from '../core/ids.ts'
import { SECURITY_HEADERS } from './assets.ts'
import { type Certificate, type CertificateFiles, readCertificate, watchCertificate } from './certificate.ts'
import { Connections, maxConnections } from './connections.ts'
import { errorBody } from './error-response.ts'
import type { Env } from './guard.ts'
import { addressesOf, closeServer, listenOnAll, type Server } from './listen.ts'

export interface Application {
  host: string
  port: number
  /** Files of its own certificate. (Default: it has none.) */
  tls?: CertificateFiles | undefined
  /** A proxy in front of it may have a certificate. (Default: false.) */
  isBehindTls?: boolean
  /** Names under which it is called, besides its own. */
  allowedHosts: readonly string[]
  /** Origins whose pages may read its responses. (Default: none.) */
  corsOrigins?: readonly string[]
  clock: Clock
  /** Answers a request that passed the guard. */
  onRequest: (request: IncomingMessage, response: ServerResponse) => void
  /** Requests that become another protocol. (Default: none do.) */
  upgrades?: Upgrades
  /** The way out of agents. (Default: there is none.) */
  proxy?: Proxy
  /** Sees each refusal, and returns the client's answer. */
  onRefused: (request: IncomingMessage, error: CageError) => CageError
  /** Receives unexpected errors. */
  onFault: (error: unknown, what: string) => void
}

export interface Upgrades {
  isOne: (request: IncomingMessage) => boolean
  /** Takes over the connection; may throw a CageError. */
  take: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
  refuse: (socket: Duplex, status: number) => void
}

export interface Proxy {
  /** Takes over a connection that asks for a tunnel. */
  connect: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
  /** Answers a request in absolute form. */
  forward: (request: IncomingMessage, response: ServerResponse) => void
}

export interface Serving {
  /** The URL for people. */
  url: string
  /** The same for programs of this machine. */
  localUrl: string
  port: number
  close(): Promise<void>
}

/** Of a request to a proxy (RFC 9112, 3.2.2). */
const ABSOLUTE_FORM = /^[a-z][a-z0-9+.-]*:\/\//i
/** Clients send about twenty, and browsers no more. */
const MAX_HEADERS = 200

/** Throws CageError `port_taken` naming the address, and `invalid_config` for a certificate that cannot be used. */
export async function serve(application: Application): Promise<Serving> {
  const { host, tls, clock, upgrades, proxy, onFault } = application
  const certificate = tls && readCertificate(tls)
  const connections = new Connections(maxConnections(), clock)
  let guard: OriginGuard
  const equip = (server: Server) => {
    connections.watch(server)
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      if (!connections.isRefused(request)) answer(application, guard, request, response)
    })
    if (proxy) server.on('connect', proxy.connect)
    if (upgrades) server.on('upgrade', (...given) => upgrade(application, upgrades, guard, ...given))
  }
  const addresses = addressesOf(host, tls !== undefined)
  const isUpgraded = upgrades?.isOne ?? (() => false)
  const servers = await listenOnAll(addresses, application.port, clock, equip, isUpgraded, certificate)
  const renew = (renewed: Certificate) => {
    for (const server of servers) if (server instanceof TlsServer) server.setSecureContext(renewed)
  }
  const unwatch = tls && watchCertificate(tls, clock, renew, onFault)
  const { port } = servers[0]!.address() as AddressInfo
  // "Every address" is not a host name.
  const isNamed = !['localhost', '127.0.0.1', '::1', '0.0.0.0', '::'].includes(host)
  const name = `${host.includes(':') ? `[${host}]` : host}:${port}`
  const hosts = [...application.allowedHosts, ...(isNamed ? [name] : [])]
  const isEncrypted = tls !== undefined || application.isBehindTls === true
  guard = createOriginGuard(port, hosts, application.corsOrigins ?? [], isEncrypted)
  const local = `http://localhost:${port}`
  return {
    url: isNamed ? `${tls ? 'https' : 'http'}://${name}` : local,
    localUrl: isNamed && !tls ? `http://${name}` : local,
    port,
    close: async () => {
      unwatch?.()
      await Promise.all(servers.map((server) => closeServer(server, clock)))
    },
  }
}

/** An application whose responses, errors included, carry the security headers and are not stored. */
export const secureApp = (): Hono<Env> =>
  new Hono<Env>().use(async (context, next) => {
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) context.header(name, value)
    context.header('cache-control', 'no-store')
    await next()
  })

function answer(
  { onRequest, onRefused, proxy }: Application,
  guard: OriginGuard,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  try {
    requireFewHeaders(request)
    // A browser sends this form to proxies only, and the proxy identifies its caller.
    if (proxy && ABSOLUTE_FORM.test(request.url!)) return proxy.forward(request, response)
    guard.check(request)
  } catch (thrown) {
    const error = onRefused(request, asCageError(thrown))
    response.writeHead(error.row.status, {
      ...SECURITY_HEADERS,
      'content-type': 'application/json',
      connection: 'close',
    })
    return void response.end(JSON.stringify(errorBody(error, newRequestId())))
  }
  const guest = guard.allowedCorsOrigin(request)
  if (guest === undefined || !answerPreflight(guest, request, response)) onRequest(request, response)
}

function upgrade(
  { onRefused }: Application,
  upgrades: Upgrades,
  guard: OriginGuard,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): void {
  socket.on('error', () => socket.destroy())
  try {
    guard.check(request)
    upgrades.take(request, socket, head)
  } catch (thrown) {
    upgrades.refuse(socket, onRefused(request, asCageError(thrown)).row.status)
  }
}

/** Node silently drops headers above a count; nothing may depend on which. Throws CageError `bad_request`. */
function requireFewHeaders({ rawHeaders }: IncomingMessage): void {
  const count = rawHeaders.length / 2
  if (count <= MAX_HEADERS) return
  throw new CageError('bad_request', `the request has ${count} headers, more than ${MAX_HEADERS}`)
}

/**
 * Lets a page of a listed origin read the response. Returns true for a preflight request, which needs no other
 * response. Credentials are not allowed: there are no cookies, and tokens are sent explicitly.
 */
function answerPreflight(origin: string, request: IncomingMessage, response: ServerResponse): boolean {
  response.setHeader('access-control-allow-origin', origin)
  response.setHeader('access-control-expose-headers', '*')
  response.setHeader('vary', 'origin')
  if (request.method !== 'OPTIONS' || !request.headers['access-control-request-method']) return false
  response.writeHead(204, {
    'access-control-allow-methods': 'GET, POST, PUT, PATCH, DELETE',
    'access-control-allow-headers': request.headers['access-control-request-headers'] ?? '',
    'access-control-max-age': '600',
  })
  response.end()
  return true
}
