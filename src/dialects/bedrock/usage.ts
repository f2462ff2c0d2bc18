/** Usage as Converse reports it, in a whole answer and at the end of a stream. */
import { type ReportedUsage, tokenCount } from '../dialect.ts'
import { isObject, type Json, type JsonObject } from '../json.ts'
import { tierTerms } from '../usage.ts'

export function readConverseUsage({ usage, serviceTier, performanceConfig }: JsonObject): ReportedUsage | undefined {
  if (!isObject(usage)) return undefined
  const uncached = tokenCount(usage.inputTokens)
  const output = tokenCount(usage.outputTokens)
  if (uncached === undefined || output === undefined) return undefined
  const counts = ['cacheReadInputTokens', 'cacheWriteInputTokens', 'totalTokens'].map((name) => usage[name] ?? 0)
  const [cachedInput = 0, written = 0, total = 0] = counts.map((count) => tokenCount(count) ?? 0)
  const cacheWriteHour = Math.min(written, hourOf(usage.cacheDetails))
  // "inputTokens" excludes cache reads and writes.
  const input = uncached + cachedInput + written
  const unknownTokens = Math.max(0, total - input - output)
  const terms = [serviceTier, performanceConfig].flatMap((used) =>
    isObject(used) ? tierTerms(used.type ?? used.latency) : [],
  )
  return {
    usage: {
      ...{ input, cachedInput, cacheWrite: written - cacheWriteHour, cacheWriteHour, output },
      ...(unknownTokens > 0 && { unknownTokens }),
      ...(terms.length > 0 && { terms }),
    },
    isFinal: true,
    isRepaired: counts.some((count) => tokenCount(count) === undefined),
  }
}

/** Tokens that were written into the cache for an hour. */
const hourOf = (details: Json | undefined): number =>
  (Array.isArray(details) ? details : []).reduce<number>(
    (sum, detail) => sum + (isObject(detail) && detail.ttl === '1h' ? (tokenCount(detail.inputTokens) ?? 0) : 0),
    0,
  )
