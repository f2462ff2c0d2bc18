/**
 * The cost of a call's tokens relative to the list, by the terms that the provider reports: a service tier, a speed, a
 * region. The list has none of them; the vendors publish them as factors or as second prices, each of which is the
 * first times one factor. Read in November 2026 at openai.com/api-priority-processing and api-fast-mode,
 * developers.openai.com (flex, batch) and platform.claude.com (pricing, service tiers, fast mode).
 */

/** A fraction, so that a price of 5/3 stays exact. */
export interface Factor {
  times: number
  per: number
  /** Charged, but not known to be the price: the charge is an estimate. */
  isEstimate?: true
}

/** Factors by the name of the term. Other terms cost `UNKNOWN_TERM`. */
export type Terms = Readonly<Record<string, Factor>>

/** Above every published factor of a service tier; the highest is 5/2. */
export const UNKNOWN_TERM: Factor = { times: 3, per: 1, isEstimate: true }

/** Both vendors' discount for work that may wait. */
const HALF: Factor = { times: 1, per: 2 }

/**
 * Published second prices of OpenAI's priority processing ("fast mode" since July 2026), by the list's name of a model.
 */
const OPENAI_PRIORITY: Readonly<Record<string, readonly [times: number, per: number]>> = {
  'gpt-5.6-terra': [2, 1],
  'gpt-5.6-luna': [2, 1],
  'gpt-5.5': [5, 2],
  'gpt-5.4': [2, 1],
  'gpt-5.4-mini': [2, 1],
  'gpt-5.2': [2, 1],
  'gpt-5.1': [2, 1],
  'gpt-5': [2, 1],
  'gpt-5-mini': [9, 5],
  'gpt-4.1': [7, 4],
  'gpt-4.1-mini': [7, 4],
  'gpt-4.1-nano': [2, 1],
  'gpt-4o': [17, 10],
  'gpt-4o-2024-05-13': [7, 4],
  'gpt-4o-mini': [5, 3],
  o3: [7, 4],
  'o4-mini': [20, 11],
}

/** Anthropic's fast mode, by the list's name of a model; not published for others. */
const ANTHROPIC_FAST: Readonly<Record<string, number>> = {
  'claude-opus-4-6': 6,
  'claude-opus-4-7': 6,
  'claude-opus-4-8': 2,
  'claude-opus-5': 2,
}

/** `model`: the list's name; undefined if unknown. */
export function termsOf(provider: string, model: string | undefined): Terms {
  if (provider === 'anthropic') {
    const fast = model === undefined ? undefined : ANTHROPIC_FAST[model]
    return {
      batch: HALF,
      // Paid in advance, at contract prices: the standard price is the maximum.
      priority: { times: 1, per: 1, isEstimate: true },
      fast: fast === undefined ? { times: 6, per: 1, isEstimate: true } : { times: fast, per: 1 },
      'inference_geo:us': { times: 11, per: 10 },
    }
  }
  if (provider !== 'openai') return {}
  const known = model === undefined ? undefined : OPENAI_PRIORITY[model]
  const priority = known ? { times: known[0], per: known[1] } : UNKNOWN_TERM
  return { flex: HALF, batch: HALF, priority, fast: priority }
}
