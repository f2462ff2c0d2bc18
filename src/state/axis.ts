/** Axes of charts, on the dashboard and in reports. Free of Node. */
import { fromUsd, max, type Nanodollars, nanodollars, toUsd, type Usd } from '../core/money.ts'

/** Round values from above 0 to `max`, at most `count`, evenly spaced by 1, 2 or 5 times a power of ten. */
export function ticksUpTo(max: number, count: number): number[] {
  if (!(max > 0)) return []
  const power = 10 ** Math.floor(Math.log10(max / count))
  const step = power * ([1, 2, 5, 10].find((factor) => max / (factor * power) <= count) ?? 10)
  return Array.from({ length: Math.floor(max / step) }, (_, index) => (index + 1) * step)
}

export interface MoneyAxis {
  /** At the top of the chart. */
  top: Nanodollars
  ticks: { nanos: number; usd: Usd }[]
  /** The limit is on the chart: otherwise it would squeeze what happened to a flat line. */
  hasLimit: boolean
}

/** Share of a limit from which it is drawn. */
const LIMIT_SHOWN_FROM = 0.4
const HEADROOM = 1.08

/** Scaled to the spent and projected amounts, and to the limit once that is near. */
export function moneyAxis({ spent, projected, limit }: Record<'spent' | 'projected' | 'limit', Usd>): MoneyAxis {
  const reached = max(fromUsd(spent), fromUsd(projected))
  const hasLimit = reached >= fromUsd(limit) * LIMIT_SHOWN_FROM
  const top = nanodollars(Math.max(1, Math.round(Math.max(reached, hasLimit ? fromUsd(limit) : 0) * HEADROOM)))
  const ticks = ticksUpTo(reached > 0 || hasLimit ? top : 0, 4).map((nanos) => ({
    nanos,
    usd: toUsd(nanodollars(Math.round(nanos))),
  }))
  return { top, ticks, hasLimit }
}
