/** Reads the usage that a provider reports. No token count is ignored: unknown fields count too. */

import { add, max, type Nanodollars, nanodollars, ZERO_NANOS } from '../core/money.ts'
import { tokenCount } from './dialect.ts'
import { isObject, type Json, type JsonObject } from './json.ts'

/** Looks up counts in a usage, and records whether one was invalid. */
export class UsageReader {
  /** An invalid figure was treated as absent, which costs the most. */
  isRepaired = false
  readonly #usage: JsonObject
  /** A few of each format: searching an array is faster than building a set. */
  readonly #known: string[] = []

  constructor(usage: JsonObject) {
    this.#usage = usage
  }

  /** Returns the count at a path such as "prompt_tokens_details.cached_tokens"; undefined if absent. */
  find(path: string): number | undefined {
    this.#known.push(path)
    const [head, tail] = stepsOf(path)
    const below = this.#usage[head]
    const value = tail === undefined ? below : isObject(below) ? below[tail] : undefined
    if (value === undefined || value === null) return undefined
    const count = tokenCount(value)
    if (count === undefined) this.isRepaired = true
    return count
  }

  /** Returns a count, 0 if absent. */
  count(path: string): number {
    return this.find(path) ?? 0
  }

  /** Marks counts that are included in others and cost the same. */
  ignore(...paths: readonly string[]): void {
    this.#known.push(...paths)
  }

  /**
   * Returns the cost that the provider reports: OpenRouter's `cost` in dollars plus the upstream's cost
   * that it passes on, Perplexity's `cost.total_cost`, and x.ai's ticks of 10⁻¹⁰ dollars.
   */
  cost(): Nanodollars | undefined {
    const { cost, cost_details: details, cost_in_usd_ticks: ticks } = this.#usage
    const upstream = isObject(details) ? dollars(details.upstream_inference_cost) : undefined
    const own = dollars(isObject(cost) ? cost.total_cost : cost) ?? dollars(ticks, 1e10)
    if (own === undefined) return upstream
    // With the user's own upstream key, `cost` excludes the upstream's cost.
    const passedOn = upstream ?? ZERO_NANOS
    return max(own, this.#usage.is_byok === true ? add(own, passedOn) : passedOn)
  }

  /** Sums the token counts that were neither looked up nor ignored. */
  unknownTokens(): number {
    let sum = 0
    for (const name in this.#usage) {
      const value = this.#usage[name]
      if (!isObject(value)) sum += this.#unknown(name, value)
      else for (const below in value) sum += this.#unknown(`${name}.${below}`, value[below])
    }
    return sum
  }

  #unknown(path: string, value: Json | undefined): number {
    return /(tokens?|TokenCount)$/.test(path) && !this.#known.includes(path) ? (tokenCount(value) ?? 0) : 0
  }
}

/** The paths are constants of the formats. */
const STEPS = new Map<string, readonly [head: string, tail: string | undefined]>()

function stepsOf(path: string): readonly [head: string, tail: string | undefined] {
  const known = STEPS.get(path)
  if (known) return known
  const steps = path.split('.') as [string, string | undefined]
  STEPS.set(path, steps)
  return steps
}

/** Converts dollars, or a fraction of them, to nanodollars; undefined for an invalid value. */
const dollars = (value: Json | undefined, perDollar = 1): Nanodollars | undefined =>
  typeof value === 'number' && value >= 0 && value < 1e12
    ? nanodollars(Math.min(Number.MAX_SAFE_INTEGER, Math.ceil((value / perDollar) * 1e9 - 1e-6)))
    : undefined

/** Tiers at the list price, under all their names. */
const STANDARD = new Set(['default', 'standard', 'auto', 'scale', 'on_demand'])

/** Returns a reported service tier as a term. */
export const tierTerms = (tier: Json | undefined): string[] =>
  typeof tier === 'string' && tier !== '' && !STANDARD.has(tier) ? [tier] : []

/** Returns the answering model that a reply, or the first event of a stream, names; undefined if it names none. */
export function modelOf(reply: JsonObject): string | undefined {
  const named = isObject(reply.response) ? reply.response : isObject(reply.message) ? reply.message : reply
  const model = named.model ?? named.modelVersion
  return typeof model === 'string' && model !== '' ? model : undefined
}
