/**
 * Fallbacks of a service: the last good response to the same request (tier 2, `service-cache.ts`), else a
 * placeholder (tier 3), else nothing.
 */
import type { ServiceConfig } from '../config/schema.ts'
import type { Tier } from '../core/events.ts'
import type { ServiceAnswer, ServiceCache, ServiceRequest } from './service-cache.ts'

/** The phrases for where an answer came from. */
export const TIER_WORDS: Readonly<Record<Tier, string>> = { 1: 'live', 2: 'cached data', 3: 'placeholder' }

export interface FallbackAnswer extends ServiceAnswer {
  tier: 2 | 3
}

/** The first fallback tier of a service; null without a fallback. */
export function fallbackTier({ fallback }: ServiceConfig): 2 | 3 | null {
  return fallback.cache ? 2 : fallback.placeholder !== undefined ? 3 : null
}

/** Returns the best available fallback. */
export function findFallback(
  cache: ServiceCache,
  service: string,
  { fallback }: ServiceConfig,
  request: ServiceRequest,
): FallbackAnswer | undefined {
  const cached = fallback.cache?.methods.includes(request.method)
    ? cache.get(service, request, fallback.cache.ttl_s)
    : undefined
  if (cached) return { tier: 2, ...cached }
  if (fallback.placeholder === undefined) return undefined
  return {
    tier: 3,
    status: 200,
    contentType: 'application/json',
    body: Buffer.from(JSON.stringify(fallback.placeholder)),
  }
}
