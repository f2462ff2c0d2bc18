/** Rates as integers: nothing is ever rounded before the end. */

/** Picodollars per token: $1 per million tokens is 1,000,000. */
export interface Rate {
  base: number
  /** Above this many input tokens the whole call costs this instead. */
  tiers: { start: number; rate: number }[]
}

export const rateAt = ({ base, tiers }: Rate, inputTokens: number): number =>
  tiers.findLast((tier) => inputTokens > tier.start)?.rate ?? base

/** The highest of several rates for a call of at most so many input tokens. */
export const highestRate = (rates: readonly (Rate | undefined)[], inputTokens: number): number =>
  rates.reduce((highest, rate) => {
    if (!rate) return highest
    const reached = rate.tiers.filter(({ start }) => inputTokens > start)
    return Math.max(highest, rate.base, ...reached.map((tier) => tier.rate))
  }, 0)

export const flatRate = (usdPerMillionTokens: number): Rate => ({ base: toPicos(usdPerMillionTokens), tiers: [] })

export const toPicos = (usdPerMillionTokens: number): number => Math.round(usdPerMillionTokens * 1_000_000)

/** Picodollars for one use, of dollars for a thousand. */
export const picosPerUse = (usdPerThousand: number): number => Math.round(usdPerThousand * 1_000_000_000)
