import { fromUsd, type Nanodollars, usd } from '../../src/core/money.ts'

/** "0.12" → 120_000_000 nanodollars. */
export const dollars = (amount: string): Nanodollars => fromUsd(usd(amount))
