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

/** Tiers that cost what the list says, under all the names they have. */
const STANDARD = new Set(['default', 'standard', 'auto', 'scale', 'on_demand'])

/** A service tier that a provider reports, as a term. */
export const tierTerms = (tier: Json | undefined): string[] =>
  typeof tier === 'string' && tier !== '' && !STANDARD.has(tier) ? [tier] : []
