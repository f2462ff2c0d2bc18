/** Rates as integers, so that nothing is rounded before the end. */

/** Picodollars per token: $1 per million tokens is 1,000,000. */
export interface Rate {
  base: number
  /** Above this many input tokens the whole call costs this instead. */
  tiers: { start: number; rate: number }[]
}

export const rateAt = ({ base, tiers }: Rate, inputTokens: number): number =>
  tiers.findLast((tier) => inputTokens > tier.start)?.rate ?? base

/** Returns the highest of several rates for a call of at most `inputTokens`. */
export function highestRate(rates: readonly (Rate | undefined)[], inputTokens: number): number {
  let highest = 0
  for (const rate of rates) {
    if (!rate) continue
    highest = Math.max(highest, rate.base)
    for (const tier of rate.tiers) if (inputTokens > tier.start) highest = Math.max(highest, tier.rate)
  }
  return highest
}

export const flatRate = (usdPerMillionTokens: number): Rate => ({ base: toPicos(usdPerMillionTokens), tiers: [] })

export const toPicos = (usdPerMillionTokens: number): number => Math.round(usdPerMillionTokens * 1_000_000)

/** Converts dollars per thousand to picodollars per use. */
export const picosPerUse = (usdPerThousand: number): number => Math.round(usdPerThousand * 1_000_000_000)
