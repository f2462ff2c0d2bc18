/** Reading what a provider says it used. What it says of tokens is never passed over: a field nobody knows counts. */

import { tokenCount } from './dialect.ts'
import { isObject, type Json, type JsonObject } from './json.ts'

/** Looks up counts in a usage, and remembers whether one was absurd. */
export class UsageReader {
  /** A figure was there and was no count: it was taken for none, which costs the most. */
  isRepaired = false
  readonly #usage: JsonObject
  readonly #known = new Set<string>()

  constructor(usage: JsonObject) {
    this.#usage = usage
  }

  /** A count at a path such as "prompt_tokens_details.cached_tokens"; undefined where there is none. */
  find(path: string): number | undefined {
    this.#known.add(path)
    const [head, tail] = path.split('.') as [string, string | undefined]
    const below = this.#usage[head]
    const value = tail === undefined ? below : isObject(below) ? below[tail] : undefined
    if (value === undefined || value === null) return undefined
    const count = tokenCount(value)
    if (count === undefined) this.isRepaired = true
    return count
  }

  /** A count, 0 where there is none. */
  count(path: string): number {
    return this.find(path) ?? 0
  }

  /** Names counts that are part of others and cost what those cost. */
  ignore(...paths: readonly string[]): void {
    for (const path of paths) this.#known.add(path)
  }

  /**
   * What the provider says the call costs, in nanodollars: OpenRouter's `cost` in dollars, with what it only passes on
   * beside it, Perplexity's `cost.total_cost`, and x.ai's ticks of 10⁻¹⁰ dollars.
   */
  cost(): number | undefined {
    const { cost, cost_details: details, cost_in_usd_ticks: ticks } = this.#usage
    const upstream = isObject(details) ? dollars(details.upstream_inference_cost) : undefined
    const own = dollars(isObject(cost) ? cost.total_cost : cost) ?? dollars(ticks, 1e10)
    if (own === undefined) return upstream
    // Paid with a key of one's own, the upstream's cost is not within.
    return Math.max(own, this.#usage.is_byok === true ? own + (upstream ?? 0) : (upstream ?? 0))
  }

  /** Every count of tokens that was neither looked up nor ignored. */
  unknownTokens(): number {
    return Object.entries(this.#usage).reduce(
      (sum, [name, value]) => sum + (isObject(value) ? this.#unknownBelow(name, value) : this.#unknown(name, value)),
      0,
    )
  }

  #unknownBelow(name: string, value: JsonObject): number {
    return Object.entries(value).reduce((sum, [below, count]) => sum + this.#unknown(`${name}.${below}`, count), 0)
  }

  #unknown(path: string, value: Json | undefined): number {
    return /tokens?$/.test(path) && !this.#known.has(path) ? (tokenCount(value) ?? 0) : 0
  }
}

/** An amount of dollars, or of a fraction of them, in nanodollars; undefined for what is none. */
const dollars = (value: Json | undefined, perDollar = 1): number | undefined =>
  typeof value === 'number' && value >= 0 && value < 1e12
    ? Math.min(Number.MAX_SAFE_INTEGER, Math.ceil((value / perDollar) * 1e9 - 1e-6))
    : undefined

/** Tiers that cost what the list says, under all the names they have. */
const STANDARD = new Set(['default', 'standard', 'auto', 'scale', 'on_demand'])

/** A service tier that a provider reports, as a term. */
export const tierTerms = (tier: Json | undefined): string[] =>
  typeof tier === 'string' && tier !== '' && !STANDARD.has(tier) ? [tier] : []

/** The model that a reply, or the first event of a stream, says has answered; undefined where it says none. */
export function modelOf(said: JsonObject): string | undefined {
  const { model } = isObject(said.response) ? said.response : isObject(said.message) ? said.message : said
  return typeof model === 'string' && model !== '' ? model : undefined
}
