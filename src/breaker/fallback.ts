/**
 * What is answered when a service is not: the last good answer to the same request (tier 2), else a placeholder
 * (tier 3), else nothing. Cached answers are rows, so they survive a restart. The cache is a courtesy: what cannot be
 * read is a miss.
 */
import { createHash } from 'node:crypto'
import { type Clock, isoTime } from '../clock.ts'
import type { ServiceConfig } from '../config/schema.ts'
import type { Database } from '../db/database.ts'
import { type ServiceCacheTable, serviceCacheTable } from '../db/service-cache.ts'
import { isStorageFault } from '../db/storage-fault.ts'
import { CageError } from '../errors.ts'
import type { Tier } from '../events.ts'

/** How people are told where an answer came from. */
export const TIER_WORDS: Readonly<Record<Tier, string>> = { 1: 'live', 2: 'cached data', 3: 'placeholder' }

/** A longer answer is not kept. */
const MOST_BODY_BYTES = 1_048_576
/** Of each service; older answers go first. */
const ANSWERS_KEPT = 10_000
const BYTES_KEPT = 256 * 1_048_576

/** What makes two requests to a service the same. */
export interface ServiceRequest {
  method: string
  /** Path and query on the service, e.g. "/search?name=acme". */
  path: string
  body: Uint8Array
}

export interface ServiceAnswer {
  status: number
  contentType: string
  body: Buffer
}

export interface FallbackAnswer extends ServiceAnswer {
  tier: 2 | 3
}

/** The first tier that can answer for a service in place of the service; null without a fallback. */
export function fallbackTier({ fallback }: ServiceConfig): 2 | 3 | null {
  return fallback.cache ? 2 : fallback.placeholder !== undefined ? 3 : null
}

/** The best answer there is without the service. */
export function findFallback(
  cache: ServiceCache,
  service: string,
  { fallback }: ServiceConfig,
  request: ServiceRequest,
): FallbackAnswer | undefined {
  const cached = fallback.cache && cache.get(service, request, fallback.cache.ttl_s)
  if (cached) return { tier: 2, ...cached }
  if (fallback.placeholder === undefined) return undefined
  return {
    tier: 3,
    status: 200,
    contentType: 'application/json',
    body: Buffer.from(JSON.stringify(fallback.placeholder)),
  }
}

export class ServiceCache {
  readonly #table: ServiceCacheTable
  readonly #clock: Clock
  readonly #bytesKept: number
  /** How long each kept answer is, by service and request, the oldest first: SQLite would have to read them all. */
  readonly #kept = new Map<string, { bytes: number; answers: Map<string, number> }>()

  /** `bytesKept`: of each service. (Default: 256 MiB.) */
  constructor({ database, clock, bytesKept = BYTES_KEPT }: { database: Database; clock: Clock; bytesKept?: number }) {
    this.#table = serviceCacheTable(database)
    this.#clock = clock
    this.#bytesKept = bytesKept
    for (const { service, key, bytes } of this.#table.sizes()) this.#count(service, key, bytes)
  }

  /** The last good answer to the same request, unless it is older than `ttlS` seconds. */
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

  /** Keeps a good answer in place of the one before; passes over what is no complete 2xx or too long. */
  put(service: string, request: ServiceRequest, { status, contentType, body }: ServiceAnswer): void {
    const isWhole = status >= 200 && status < 300 && status !== 206
    if (!isWhole || body.length > MOST_BODY_BYTES) return
    const key = requestKey(request)
    const stored_at = isoTime(this.#clock.now())
    this.#table.put({ service, request_key: key, status, content_type: contentType, body, stored_at })
    const kept = this.#count(service, key, body.length)
    for (const [oldest, bytes] of kept.answers) {
      if (kept.answers.size <= ANSWERS_KEPT && kept.bytes <= this.#bytesKept) break
      this.#table.remove(service, oldest)
      kept.answers.delete(oldest)
      kept.bytes -= bytes
    }
  }

  #count(service: string, key: string, bytes: number) {
    const kept = this.#kept.get(service) ?? { bytes: 0, answers: new Map<string, number>() }
    this.#kept.set(service, kept)
    kept.bytes += bytes - (kept.answers.get(key) ?? 0)
    // The newest is the last.
    kept.answers.delete(key)
    kept.answers.set(key, bytes)
    return kept
  }
}

/** Hashed whole: a query may hold a key of the service. */
const requestKey = ({ method, path, body }: ServiceRequest): string =>
  createHash('sha256').update(`${method} ${path}\n`).update(body).digest('hex')
