/**
 * The last good response of each service to each request. Responses are rows, so they survive a restart. Best effort: what
 * cannot be read is a miss.
 *
 * The rules are:
 * - A response is reused only for the same caller with the same headers, except headers that no service varies by. So
 *   no caller gets a response to another one's credentials.
 * - `no-store` and `private`, of service or client, are honored.
 */
import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { isAbsolute } from 'node:path'
import { type Clock, isoTime } from '../core/clock.ts'
import { CageError } from '../core/errors.ts'
import { holdsOwnToken } from '../core/tokens.ts'
import { isStorageFault } from '../db/storage-fault.ts'
import type { Store } from '../db/store.ts'
import type { ServiceCacheTable } from '../db/tables/service-cache.ts'

/** A longer response is not stored. */
const MAX_BODY_BYTES = 1_048_576
/** Per service; the oldest responses are evicted first. */
const MAX_ANSWERS = 10_000
const MAX_BYTES = 256 * 1_048_576

/** The identity of a request to a service. */
export interface ServiceRequest {
  /** Whose request it is (`cacheOwner`). */
  owner: string
  method: string
  /** Path and query on the service, e.g. "/search?name=acme". */
  path: string
  headers: IncomingHttpHeaders
  body: Uint8Array
}

export interface ServiceAnswer {
  status: number
  contentType: string
  body: Buffer
}

/**
 * Whose responses an agent may reuse: its own, and those of earlier starts of the same script with the same name and
 * environment. A client without supervision has no script and is known by its id.
 */
export const cacheOwner = (agent: { id: string; name: string; script: string; environment: string }): string =>
  JSON.stringify(
    isAbsolute(agent.script) ? [agent.environment, agent.name, agent.script] : [agent.environment, agent.id],
  )

/** Whether a response may be stored, by the cache directives of client and service (RFC 9111, 5.2). */
export function mayStore(request: IncomingHttpHeaders, answer: IncomingHttpHeaders): boolean {
  // The encoding is not stored with the response.
  if ((answer['content-encoding'] ?? 'identity') !== 'identity') return false
  if (directives(request['cache-control']).includes('no-store')) return false
  if (directives(answer['cache-control']).some((name) => UNSTORED.has(name))) return false
  return directives(answer.vary).every((name) => name === 'accept-encoding' || isCompared(name))
}

/** Names in a list of directives or headers, in lower case, without values. */
const directives = (header: string | undefined): string[] =>
  (header ?? '')
    .toLowerCase()
    .split(',')
    .map((directive) => directive.split('=', 1)[0]!.trim())
    .filter(Boolean)

const UNSTORED = new Set(['no-store', 'private', 'no-cache'])

/** Headers that vary per request, or describe the connection, the client or us: no response depends on them. */
const NOT_COMPARED =
  /^(\*|host|connection|keep-alive|te|trailer|transfer-encoding|upgrade|expect|content-length|accept-encoding|user-agent|date|cache-control|pragma|x-iron-cage-.+|traceparent|tracestate|baggage|sentry-trace|x-request-id|x-correlation-id|x-amzn-trace-id|x-cloud-trace-context|x-b3-.+)$/

const isCompared = (name: string): boolean => !NOT_COMPARED.test(name)

export class ServiceCache {
  readonly #table: ServiceCacheTable
  readonly #clock: Clock
  readonly #bytesKept: number
  /** Size of each stored response, by service and request, oldest first: SQLite would have to read them all. */
  readonly #kept = new Map<string, { bytes: number; answers: Map<string, number> }>()

  /** `bytesKept`: limit per service. (Default: 256 MiB.) */
  constructor({
    store,
    clock,
    bytesKept = MAX_BYTES,
  }: { store: Pick<Store, 'serviceCache'>; clock: Clock; bytesKept?: number }) {
    this.#table = store.serviceCache
    this.#clock = clock
    this.#bytesKept = bytesKept
    for (const { service, key, bytes } of this.#table.sizes()) this.#count(service, key, bytes)
  }

  /** The last good response to the same request, unless it is older than `ttlS` seconds. */
  get(service: string, request: ServiceRequest, ttlS: number): ServiceAnswer | undefined {
    try {
      const row = this.#table.find(service, requestKey(request))
      if (!row || this.#clock.now() - Date.parse(row.stored_at) > ttlS * 1000) return undefined
      return { status: row.status, contentType: row.content_type, body: row.body }
    } catch (error) {
      if (!isStorageFault(error) && !(error instanceof CageError)) throw error
      return undefined
    }
  }

  /** Stores a response in place of the previous one; ignores a response that is not a complete 2xx, or too long. */
  put(service: string, request: ServiceRequest, { status, contentType, body }: ServiceAnswer): void {
    const isWhole = status >= 200 && status < 300 && status !== 206
    if (!isWhole || body.length > MAX_BODY_BYTES) return
    const key = requestKey(request)
    const stored_at = isoTime(this.#clock.now())
    this.#table.put({ service, request_key: key, status, content_type: contentType, body, stored_at })
    const kept = this.#count(service, key, body.length)
    for (const [oldest, bytes] of kept.answers) {
      if (kept.answers.size <= MAX_ANSWERS && kept.bytes <= this.#bytesKept) break
      this.#table.remove(service, oldest)
      kept.answers.delete(oldest)
      kept.bytes -= bytes
    }
  }

  #count(service: string, key: string, bytes: number) {
    const kept = this.#kept.get(service) ?? { bytes: 0, answers: new Map<string, number>() }
    this.#kept.set(service, kept)
    kept.bytes += bytes - (kept.answers.get(key) ?? 0)
    // The newest entry is the last.
    kept.answers.delete(key)
    kept.answers.set(key, bytes)
    return kept
  }
}

/** Hashed as a whole: the query or a header may hold a key of the service. */
function requestKey({ owner, method, path, headers, body }: ServiceRequest): string {
  const compared = Object.entries(headers)
    // Our own token identifies the caller, which is the owner already.
    .filter(([name, value]) => value !== undefined && isCompared(name) && !holdsOwnToken(String(value)))
    .sort(([a], [b]) => (a < b ? -1 : 1))
  return createHash('sha256')
    .update(JSON.stringify([owner, method, path, compared]))
    .update(body)
    .digest('hex')
}
