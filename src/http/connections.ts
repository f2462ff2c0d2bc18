/**
 * Limits the server's connections to less than half of the process's descriptors, since each call also needs one to its
 * provider, and agents and the database need theirs. When all are taken, a new connection replaces an idle one; if none
 * is idle, it is refused.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { Server as TlsServer } from 'node:tls'
import type { Clock } from '../core/clock.ts'
import { CageError } from '../core/errors.ts'
import { newRequestId } from '../core/ids.ts'
import { errorBody } from './error-response.ts'
import type { Server } from './listen.ts'

/** Whatever the number of descriptors: an idle connection takes some 7 KB. */
const MAX_CONNECTIONS = 10_000
/** For files, agents and others; at most a quarter. */
const RESERVED_DESCRIPTORS = 128
/** How many refused clients may read the reason, and for how long each, in ms. */
const MAX_REFUSED = 16
const REFUSED_MS = 1_000

/** From the limit of this process ("ulimit -n"), which Node has raised as far as it may. */
export function maxConnections(): number {
  const descriptors = descriptorLimit()
  if (!Number.isFinite(descriptors)) return MAX_CONNECTIONS
  return Math.min(MAX_CONNECTIONS, Math.floor((descriptors - Math.min(RESERVED_DESCRIPTORS, descriptors / 4)) / 2))
}

let knownLimit: number | undefined

/** Not finite when there is no limit. Read once: a report takes longer than opening a server. */
function descriptorLimit(): number {
  if (knownLimit !== undefined) return knownLimit
  // Including the network would take longer than the rest of the start.
  const report = Object.assign(process.report, { excludeNetwork: true })
  const { userLimits } = report.getReport() as { userLimits?: { open_files?: { soft: number | 'unlimited' } } }
  knownLimit = Number(userLimits?.open_files?.soft)
  return knownLimit
}

interface Use {
  request: IncomingMessage
  /** Requests in progress: clients may send the next one before the response. */
  running: number
}

export class Connections {
  readonly #max: number
  readonly #clock: Clock
  /** Connections without a request so far, and those between two requests; oldest first. */
  readonly #fresh = new Set<Duplex>()
  readonly #idle = new Set<Duplex>()
  readonly #used = new Map<Duplex, Use>()
  readonly #refused = new Set<Duplex>()

  /** `max`: for all servers together. */
  constructor(max: number, clock: Clock) {
    this.#max = max
    this.#clock = clock
  }

  /** Counts the server's connections from now on; must be called before other listeners for requests are added. */
  watch(server: Server): void {
    // Requests of an encrypted connection name the socket that decrypts it.
    const isEncrypted = server instanceof TlsServer
    if (isEncrypted) server.maxConnections = this.#max
    server.on(isEncrypted ? 'secureConnection' : 'connection', (socket: Duplex) => this.#add(socket))
    server.on('request', (request, response) => this.#begin(request, response))
    for (const lasting of ['upgrade', 'connect']) server.on(lasting, (request) => this.#begin(request))
  }

  /** True when the request came after its connection was refused: nothing reads a response. */
  isRefused(request: IncomingMessage): boolean {
    return this.#refused.has(request.socket)
  }

  #add(socket: Duplex): void {
    socket.once('close', () => {
      for (const places of [this.#fresh, this.#idle, this.#used, this.#refused]) places.delete(socket)
    })
    if (this.#fresh.size + this.#idle.size + this.#used.size >= this.#max && !this.#makeRoom())
      return this.#refuse(socket)
    this.#fresh.add(socket)
  }

  /** Closes an idle connection, or one that is still sending its request. */
  #makeRoom(): boolean {
    const uploading = [...this.#used].find(([, { request }]) => !request.complete)?.[0]
    const socket = first(this.#fresh) ?? first(this.#idle) ?? uploading
    if (!socket) return false
    for (const places of [this.#fresh, this.#idle, this.#used]) places.delete(socket)
    socket.destroy()
    return true
  }

  #refuse(socket: Duplex): void {
    if (this.#refused.size >= MAX_REFUSED) return void socket.destroy()
    this.#refused.add(socket)
    const error = new CageError('too_many_connections', `${this.#max} connections are in use`, { retryAfterS: 1 })
    const body = JSON.stringify(errorBody(error, newRequestId()))
    socket.end(
      `HTTP/1.1 ${error.row.status} Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    )
    this.#clock.after(REFUSED_MS, () => socket.destroy()).unref()
  }

  /** `response`: undefined for an upgrade or a tunnel, which last as long as its connection. */
  #begin(request: IncomingMessage, response?: ServerResponse): void {
    const { socket } = request
    if (this.#refused.has(socket)) return
    this.#fresh.delete(socket)
    this.#idle.delete(socket)
    const running = (this.#used.get(socket)?.running ?? 0) + 1
    const use = { request, running }
    this.#used.set(socket, use)
    response?.once('close', () => this.#end(socket))
  }

  #end(socket: Duplex): void {
    const use = this.#used.get(socket)
    if (!use) return
    use.running -= 1
    if (use.running > 0) return
    this.#used.delete(socket)
    if (!socket.destroyed) this.#idle.add(socket)
  }
}

const first = <T>(set: ReadonlySet<T>): T | undefined => set.values().next().value
