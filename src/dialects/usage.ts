/**
 * Reads the usage that a provider reports, by the grammar that all of them share: a total, the counts that it is the sum
 * of, and parts of those counts. No token count is ignored, and none is counted twice.
 *
 * The rules are:
 * - Servers have several names for one count, and some send it under more than one: the largest is the count.
 * - Whatever stands below the details of a count is a part of it, by any name.
 * - An unknown count may be a part of a known one. If there is a total, it decides: only the excess over the sum of the
 *   known counts was read or written in addition. Without a total it is unknown, and the charge is an estimate.
 */

import { add, max, type Nanodollars, nanodollars, ZERO_NANOS } from '../core/money.ts'
import { tokenCount, type Usage } from './dialect.ts'
import { isObject, type Json, type JsonObject } from './json.ts'

/** Looks up counts in a usage, and records whether one was invalid. */
export class UsageReader {
  /** An invalid figure was treated as absent, which costs the most. */
  isRepaired = false
  readonly #usage: JsonObject
  /** A few of each format: searching an array is faster than building a set. */
  readonly #known: (readonly string[])[] = []

  constructor(usage: JsonObject) {
    this.#usage = usage
  }

  /** Returns the largest count under any of its names, which are paths; undefined if it has none. */
  find(...names: readonly string[]): number | undefined {
    this.#known.push(names)
    let largest: number | undefined
    for (const name of names) {
      const value = this.#valueAt(name)
      if (value === undefined || value === null) continue
      const count = tokenCount(value)
      if (count === undefined) this.isRepaired = true
      else if (largest === undefined || count > largest) largest = count
    }
    return largest
  }

  /** Returns a count, 0 if absent. */
  count(...names: readonly string[]): number {
    return this.find(...names) ?? 0
  }

  /** Marks counts that are included in others and cost the same, and objects of which all counts are. */
  ignore(names: readonly string[]): void {
    this.#known.push(names)
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

  /**
   * Returns the tokens in addition to the known counts, whose sum is `known`: the excess of the provider's total.
   * Without a credible total, those of unknown fields, which may be parts of known ones.
   */
  beyond(known: number, total: number): Pick<Usage, 'unknownTokens' | 'unconfirmedTokens'> {
    if (total >= known && total > 0) return total > known ? { unknownTokens: total - known } : {}
    const unconfirmedTokens = this.#unknownTokens()
    return unconfirmedTokens > 0 ? { unconfirmedTokens } : {}
  }

  /** Sums the token counts that were neither looked up nor ignored. */
  #unknownTokens(): number {
    let sum = 0
    for (const name in this.#usage) {
      const value = this.#usage[name]
      if (this.#isKnown(name)) continue
      if (!isObject(value)) sum += this.#unknown(name, value)
      else for (const below in value) sum += this.#unknown(`${name}.${below}`, value[below])
    }
    return sum
  }

  #unknown(path: string, value: Json | undefined): number {
    return /(tokens?|TokenCount)$/.test(path) && !this.#isKnown(path) ? (tokenCount(value) ?? 0) : 0
  }

  #isKnown(path: string): boolean {
    return this.#known.some((names) => names.includes(path))
  }

  #valueAt(path: string): Json | undefined {
    let value: Json | undefined = this.#usage
    for (const step of stepsOf(path)) value = isObject(value) ? value[step] : undefined
    return value
  }
}

/** The paths are constants of the formats. */
const STEPS = new Map<string, readonly string[]>()

function stepsOf(path: string): readonly string[] {
  const known = STEPS.get(path)
  if (known) return known
  const steps = path.split('.')
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
