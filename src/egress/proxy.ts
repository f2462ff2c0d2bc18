/**
 * The way out of an agent: a proxy for CONNECT, and for plain HTTP in absolute form. In this order:
 *
 *   identify the run → read the authority → provider or service: end TLS, enter the gateway
 *                                         → listed: a tunnel, after its server name was read
 *                                         → anything else: refused
 *
 * The rules are:
 * - A name is resolved once and the judged address is dialed (`dial.ts`). Ports of this server are never reached.
 * - A request inside an ended TLS must name the host that its connection was opened for.
 * - The reason phrase of a refusal has its code and its host: some clients show nothing else.
 */
import {
  createServer,
  type IncomingMessage,
  request as requestPlain,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { Socket } from 'node:net'
import { type Duplex, pipeline } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { ended, type RunTokens, type TokenRun } from '../access/run-tokens.ts'
import { isPublic, withoutMapping } from '../config/addresses.ts'
import { type Authority, entryFor, PLAIN_PORT, parseAuthority, showAuthority, TLS_PORT } from '../config/authority.ts'
import { asCageError, CageError, type ErrorCode } from '../core/errors.ts'
import { toRunId } from '../core/ids.ts'
import type { StateManager } from '../state/state-manager.ts'
import type { CertificateAuthority } from './certificates.ts'
import { type Destination, type Destinations, routeIn } from './destinations.ts'
import { type Dialing, dial } from './dial.ts'
import { type Decision, Rules } from './rules.ts'
import { RunTunnels } from './run-tunnels.ts'
import type { Seen } from './seen.ts'
import { HELLO_MS, relay, requireServerName } from './tunnel.ts'

/** How the server answers a request to /gateway/…. */
export type Answer = (request: IncomingMessage, response: ServerResponse, road: Road) => void

export interface ProxyDeps extends Dialing {
  runTokens: Pick<RunTokens, 'adopt' | 'identify' | 'identifyById' | 'identifyByProcess' | 'identifySandbox'>
  destinations: Destinations
  /** Made with the first agent that has egress. */
  authority: () => Promise<CertificateAuthority>
  seen: Seen
  state: Pick<StateManager, 'subscribe'>
  /** Returns the client's answer to a refusal. */
  onRefused: (error: CageError) => CageError
  /** Called for callers that are no run of this server. */
  onUnidentified: (request: IncomingMessage, error: CageError) => void
  onFault: (error: unknown, what: string) => void
  /** Largest head of a request, in bytes. */
  maxHeaderSize: number
}

/** The same for a request of a WebSocket, whose connection it takes over. */
export type Upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer, road: Road) => void

/** One connection of an agent to one destination. */
interface Opened {
  run: TokenRun
  /** The segment of gateway addresses that identifies the run. */
  address: string
  road: Road
  to: Authority
  all: readonly Destination[]
}

/** The run that connects, and the segment of gateway addresses that identifies it. */
interface Caller {
  run: TokenRun
  address: string
  road: Road
}

/** How a connection came: from a sandbox that redirects, or from a program that uses a proxy. */
type Road = 'redirect' | 'proxy'

export class EgressProxy {
  readonly #deps: ProxyDeps
  readonly #answer: Answer
  readonly #upgrade: Upgrade
  /** Serves what ended TLS carries; it does not listen. */
  readonly #inner: Server
  readonly #opened = new WeakMap<object, Opened>()
  readonly #rules = new WeakMap<TokenRun, Rules>()
  readonly #tunnels: RunTunnels

  constructor(deps: ProxyDeps, answer: Answer, upgrade: Upgrade) {
    this.#deps = deps
    this.#answer = answer
    this.#upgrade = upgrade
    this.#tunnels = new RunTunnels(deps)
    this.#inner = createServer({
      noDelay: true,
      maxHeaderSize: deps.maxHeaderSize,
      shouldUpgradeCallback: (request) => this.#isUpgraded(request),
    })
    this.#inner.on('request', (request, response) => this.#enter(request, response))
    this.#inner.on('upgrade', (...given) => this.#enterUpgrade(...given))
    // Begins to watch how long clients take for a request, as a server that listens does.
    this.#inner.emit('listening')
  }

  /** Answers CONNECT. Never throws. */
  connect(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy())
    if (head.length > 0) socket.unshift(head)
    this.#connect(request, socket as Socket).catch((error: unknown) => this.#refuseTunnel(socket, error))
  }

  /** Answers a request in absolute form: a client of plain HTTP that uses a proxy. Never throws. */
  forward(request: IncomingMessage, response: ServerResponse): void {
    this.#forward(request, response).catch((error: unknown) => this.#refuse(response, error))
  }

  /** Ends the connections of every run. */
  close(): void {
    this.#tunnels.close()
    this.#inner.closeAllConnections()
    this.#inner.close()
  }

  async #connect(request: IncomingMessage, socket: Socket): Promise<void> {
    const { run, address, road } = await this.#identify(request)
    const to = parseAuthority(request.url ?? '')
    if (!to) throw badAuthority(request.url)
    using place = this.#tunnels.take(run, to, socket)
    const decision = this.#rulesOf(run).decide(to)
    if (decision.kind === 'destination') {
      const [first] = decision.all
      this.#saw(run, to, road, first)
      socket.write(ESTABLISHED)
      place.keep()
      const opened = { run, address, road, to, all: decision.all }
      return first.isEncrypted ? await this.#endTls(socket, opened) : this.#serve(socket, opened)
    }
    const server = await this.#dial(run, to, road, decision)
    if (socket.destroyed) return void server.destroy()
    socket.write(ESTABLISHED)
    place.keep()
    if (decision.kind === 'tunnel' && decision.isEnforced && to.port === TLS_PORT) {
      try {
        await requireServerName(socket, to, this.#deps.clock)
      } catch (error) {
        server.destroy()
        socket.destroy()
        return this.#deny(run, to, asCageError(error))
      }
    }
    relay(socket, server, this.#deps.clock)
  }

  async #forward(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { run, address, road } = await this.#identify(request)
    const [, named = '', path = ''] = /^http:\/\/([^/?#]+)((?:[/?].*)?)$/i.exec(request.url ?? '') ?? []
    const to = parseAuthority(/:\d+$/.test(named) ? named : `${named}:${PLAIN_PORT}`)
    if (!to) throw badAuthority(request.url)
    using place = this.#tunnels.take(run, to, response)
    const decision = this.#rulesOf(run).decide(to)
    request.url = path.startsWith('/') ? path : `/${path}`
    requireHost(request, to)
    if (decision.kind === 'destination') {
      const [first] = decision.all
      this.#saw(run, to, road, first)
      return this.#route(request, response, { run, address, road, to, all: decision.all })
    }
    const server = await this.#dial(run, to, road, decision)
    if (response.destroyed) return void server.destroy()
    place.keep()
    sendOn(request, response, server)
  }

  /** Rejects with CageError `proxy_auth_required`, `foreign_process` or `unauthorized`. */
  async #identify(request: IncomingMessage): Promise<Caller> {
    try {
      return await this.#runBehind(request)
    } catch (error) {
      this.#deps.onUnidentified(request, asCageError(error))
      throw error
    }
  }

  async #runBehind({ headers, socket }: IncomingMessage): Promise<Caller> {
    const { runTokens } = this.#deps
    const [user = '', password = ''] = credentialsOf(headers['proxy-authorization'])
    const key = user.startsWith(REDIRECT) ? user.slice(REDIRECT.length) : undefined
    if (key !== undefined) {
      const run = runTokens.identifySandbox(password, key)
      if (!run) throw ended()
      return { run, address: password, road: 'redirect' }
    }
    const road = 'proxy'
    const named = [user, password].find((part) => /^run[_-]/.test(part))
    if (named === undefined) {
      const run = await runTokens.identifyByProcess(socket)
      if (!run) throw new CageError('proxy_auth_required', 'this proxy is for the agents of this server')
      return { run, address: run.runId, road }
    }
    if (!named.startsWith('run-')) {
      const run = await runTokens.identify(named, socket)
      if (!run) throw ended()
      return { run, address: named, road }
    }
    return { run: await runTokens.identifyById(toRunId(named), socket, []), address: named, road }
  }

  /** Connects to a listed destination. Throws what `dial` throws, and CageError `egress_denied`. */
  async #dial(run: TokenRun, to: Authority, road: Road, decision: Decision): Promise<Socket> {
    try {
      if (decision.kind !== 'tunnel') throw notListed(to)
      const server = await dial(to, decision.reach, this.#deps)
      const isPrivate = !this.#usesProxy && !isPublic(withoutMapping(server.remoteAddress ?? ''))
      const place = { ...to, ...(isPrivate && { is_private: true as const }) }
      this.#deps.seen.allowed(run, { ...place, kind: 'tunnel', name: null, is_listed: decision.isListed, road })
      return server
    } catch (error) {
      if (error instanceof CageError && DENIALS.has(error.code)) this.#deny(run, to, error)
      throw error
    }
  }

  /** The user's own proxy hides the addresses of hosts. */
  get #usesProxy(): boolean {
    const { httpsProxy, httpProxy } = this.#deps.network
    return httpsProxy !== '' || httpProxy !== ''
  }

  #rulesOf(run: TokenRun): Rules {
    const rules = this.#rules.get(run) ?? new Rules(this.#deps.destinations, run.egress)
    this.#rules.set(run, rules)
    return rules
  }

  #saw(run: TokenRun, to: Authority, road: Road, { kind, name }: Destination): void {
    this.#deps.seen.allowed(run, { ...to, kind, name, is_listed: true, road })
  }

  #deny(run: TokenRun, { host, port }: Authority, { code }: CageError): void {
    this.#deps.seen.denied(run, { host, port, reason: code })
  }

  /** Decrypts a connection with a certificate of ours. */
  async #endTls(socket: Socket, opened: Opened): Promise<void> {
    const authority = await this.#deps.authority()
    if (socket.destroyed) return
    const { to, run } = opened
    const timer = this.#deps.clock.after(HELLO_MS, () => socket.destroy())
    socket.once('close', () => timer.cancel())
    const tls = new TLSSocket(socket, {
      isServer: true,
      secureContext: authority.contextFor(to.host),
      ALPNProtocols: ['http/1.1'],
    })
    tls.on('error', () => tls.destroy())
    tls.on('_tlsError', ({ code }: NodeJS.ErrnoException) => {
      // A client of HTTP/2 alone; others do not trust our certificate.
      if (code === 'ERR_SSL_NO_APPLICATION_PROTOCOL') this.#deny(run, to, new CageError('egress_protocol', ''))
      tls.destroy()
    })
    const giveUp = () => tls.destroy()
    tls.once('end', giveUp)
    tls.once('secure', () => {
      timer.cancel()
      tls.off('end', giveUp)
      const name = (tls as { servername?: string | false }).servername || undefined
      if (name === undefined || name.toLowerCase() === to.host) return this.#serve(tls, opened)
      this.#deny(run, to, new CageError('egress_host_mismatch', ''))
      tls.destroy()
    })
  }

  #serve(socket: Socket, opened: Opened): void {
    this.#deps.runTokens.adopt(opened.run, socket)
    this.#opened.set(socket, opened)
    this.#inner.emit('connection', socket)
  }

  /** A request within a connection to one destination. */
  #enter(request: IncomingMessage, response: ServerResponse): void {
    const opened = this.#opened.get(request.socket)
    try {
      if (!opened || !request.url?.startsWith('/')) throw badAuthority(request.url)
      requireHost(request, opened.to)
      this.#route(request, response, opened)
    } catch (error) {
      if (opened && error instanceof CageError) this.#deny(opened.run, opened.to, error)
      this.#refuse(response, error)
    }
  }

  /** Other WebSockets are answered over HTTP. */
  #isUpgraded({ url = '', headers, socket }: IncomingMessage): boolean {
    if (!/^websocket$/i.test(headers.upgrade ?? '')) return false
    return routeIn(this.#opened.get(socket)?.all ?? [], url.split('?', 1)[0]!)?.to.kind === 'service'
  }

  #enterUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy())
    const opened = this.#opened.get(socket)!
    try {
      requireHost(request, opened.to)
      this.#readdress(request, opened)
      this.#upgrade(request, socket, head, opened.road)
    } catch (error) {
      if (error instanceof CageError) this.#deny(opened.run, opened.to, error)
      this.#refuseTunnel(socket, error)
    }
  }

  /** Sends a request to the gateway's route of its destination. */
  #route(request: IncomingMessage, response: ServerResponse, opened: Opened): void {
    this.#readdress(request, opened)
    this.#answer(request, response, opened.road)
  }

  /** Throws CageError `egress_denied`. */
  #readdress(request: IncomingMessage, { address, to, all }: Opened): void {
    const [path = '/', ...query] = request.url!.split('?')
    const found = routeIn(all, path)
    if (!found) throw outsidePath(all, to, path)
    request.url = [`/gateway/${address}/${found.to.route}${found.below}`, ...query].join('?')
    delete request.headers['proxy-authorization']
  }

  #refuseTunnel(socket: Duplex, thrown: unknown): void {
    const { status, headers, reason, body } = this.#answerOf(thrown)
    if (!socket.writable) return void socket.destroy()
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
    socket.end(`HTTP/1.1 ${status} ${reason}\r\n${lines.join('\r\n')}\r\n\r\n${body}`)
  }

  #refuse(response: ServerResponse, thrown: unknown): void {
    const { status, headers, reason, body } = this.#answerOf(thrown)
    if (response.headersSent) return void response.destroy()
    response.writeHead(status, reason, headers).end(body)
  }

  #answerOf(thrown: unknown) {
    const error = this.#deps.onRefused(asCageError(thrown))
    if (error.code === 'internal') this.#deps.onFault(error.cause, 'the proxy of agents failed')
    const { status } = error.row
    const body = JSON.stringify({
      error: { code: error.code, message: error.message, hint: error.hint, ...error.facts },
    })
    const { host } = error.facts
    const headers = {
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(body)),
      'x-should-retry': 'false',
      connection: 'close',
      ...(status === 407 && { 'proxy-authenticate': 'Basic realm="iron-cage"' }),
    }
    return { status, headers, reason: [error.code, host].filter(Boolean).join(' '), body }
  }
}

/** Errors that the list decides. */
const DENIALS: ReadonlySet<ErrorCode> = new Set(['egress_denied', 'egress_address_refused'])

export const outsidePath = (all: readonly Destination[], to: Authority, path: string): CageError =>
  new CageError('egress_denied', `${showAuthority(to)}${path} is not below ${all[0]!.basePath}`, {
    facts: { host: to.host, port: to.port },
    hint: `only what is below the base_url of ${all[0]!.name} is sent`,
  })

export const notListed = (to: Authority): CageError =>
  new CageError('egress_denied', `${showAuthority(to)} is not listed`, {
    facts: { host: to.host, port: to.port },
    hint: `to allow it, add ${JSON.stringify(entryFor(to))} to agent.egress.allow`,
  })

const ESTABLISHED = 'HTTP/1.1 200 Connection Established\r\n\r\n'
/** The user of a connection that a sandbox redirected, before its key. */
const REDIRECT = 'redirect-'

/** User and password of Basic credentials. */
function credentialsOf(header: string | undefined): string[] {
  const encoded = /^basic +([\w+/=-]+)$/i.exec(header ?? '')?.[1]
  return encoded === undefined ? [] : Buffer.from(encoded, 'base64').toString('utf8').split(':', 2)
}

const badAuthority = (given: string | undefined): CageError =>
  new CageError('bad_request', `"${(given ?? '').slice(0, 100)}" is no host and port that a proxy connects to`, {
    hint: 'name a host by letters, digits, hyphens and dots, or an address',
  })

/** Throws CageError `egress_host_mismatch`. */
function requireHost({ headersDistinct: { host: [host = '', ...others] = [] } }: IncomingMessage, to: Authority): void {
  const named = host.toLowerCase()
  const plain = to.host.includes(':') ? `[${to.host}]` : to.host
  // Of two, the server behind may take the other one.
  if (others.length === 0 && (named === plain || named === `${plain}:${to.port}`)) return
  throw new CageError(
    'egress_host_mismatch',
    `the connection leads to ${showAuthority(to)}, and the request names another host`,
    {
      facts: { host: to.host, port: to.port },
    },
  )
}

/** Sends a request of plain HTTP over a new connection. */
function sendOn(request: IncomingMessage, response: ServerResponse, server: Socket): void {
  const { method, url, rawHeaders } = request
  const headers = rawHeaders.filter((_, at) => !/^proxy-/i.test(rawHeaders[at - (at % 2)]!))
  const outgoing = requestPlain({
    method,
    path: url,
    headers: [...headers],
    createConnection: () => server,
    setDefaultHeaders: false,
  })
  outgoing.on('response', (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.statusMessage, answer.rawHeaders)
    // Cuts a response that breaks.
    pipeline(answer, response, () => {})
  })
  outgoing.on('error', () => response.destroy())
  response.on('close', () => outgoing.destroy())
  request.pipe(outgoing)
}
