/**
 * How many connections the server keeps: fewer than half of the descriptors that the process may have, since a call needs
 * one to its provider as well, and agents and the database need theirs. Whoever connects when all are taken gets the place
 * of one that is not used; when every one is, a refusal.
 */

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Clock } from '../clock.ts'
import { CageError } from '../errors.ts'
import { newRequestId } from '../ids.ts'
import { errorBody } from './error-response.ts'

/** However many descriptors there are: an idle connection takes some 7 KB. */
const MAX_CONNECTIONS = 10_000
/** For files, agents and what else is open, at most a quarter. */
const RESERVED_DESCRIPTORS = 128
/** So many who are refused may read why, each for so long, in ms. */
const MAX_REFUSED = 16
const REFUSED_MS = 1_000

/** By the limit of this process ("ulimit -n"), which Node has raised as far as it may. */
export function maxConnections(): number {
  // Looking at the network as well would take longer than all the rest of the start.
  const report = Object.assign(process.report, { excludeNetwork: true })
  const { userLimits } = report.getReport() as { userLimits?: { open_files?: { soft: number | 'unlimited' } } }
  const descriptors = Number(userLimits?.open_files?.soft)
  if (!Number.isFinite(descriptors)) return MAX_CONNECTIONS
  return Math.min(MAX_CONNECTIONS, Math.floor((descriptors - Math.min(RESERVED_DESCRIPTORS, descriptors / 4)) / 2))
}

interface Use {
  request: IncomingMessage
  /** Clients may send the next request before the answer. */
  running: number
}

export class Connections {
  readonly #max: number
  readonly #clock: Clock
  /** Without any request so far, and between two requests: the oldest first. */
  readonly #fresh = new Set<Duplex>()
  readonly #idle = new Set<Duplex>()
  readonly #used = new Map<Duplex, Use>()
  readonly #refused = new Set<Duplex>()

  /** `max`: of all servers together. */
  constructor(max: number, clock: Clock) {
    this.#max = max
    this.#clock = clock
  }

  /** Counts the server's connections from now on; its listeners for requests are to come after this. */
  watch(server: Server): void {
    server.on('connection', (socket) => this.#add(socket))
    server.on('request', (request, response) => this.#begin(request, response))
    server.on('upgrade', (request) => this.#begin(request))
  }

  /** True when the request came after its connection was refused: nobody reads an answer. */
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

  /** One that is not used ends, or one that is still sending its request. */
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

  /** `response`: none for an upgrade, which lasts as long as its connection. */
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
