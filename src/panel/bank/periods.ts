/**
 * Budgets that renew each day or month, in UTC: machines of one budget may be anywhere. Each period has a separate
 * account, so that earlier leases are still settled in the account they came from.
 */
import { type Period, periodsOf } from '../../budget/period.ts'
import { isoTime } from '../../core/clock.ts'

export const SHARED_PERIODS = ['day', 'month'] as const
export type SharedPeriod = (typeof SHARED_PERIODS)[number]

const periodAt: Record<SharedPeriod, (now: number) => Period> = {
  day: periodsOf({ every: 'day', time_zone: 'UTC' }),
  month: periodsOf({ every: 'month', time_zone: 'UTC' }),
}

/** The period of a budget at a time, in ms since 1970, and the account that counts in it: "budget-1f@month-2026-11-01". */
export function accountAt(budgetId: string, period: SharedPeriod, now: number): Period & { id: string } {
  const { startsAt, endsAt } = periodAt[period](now)
  return { id: `${budgetId}@${period}-${isoTime(startsAt).slice(0, 10)}`, startsAt, endsAt }
}

/** When the period of an account ends, in ms since 1970. */
export function endOf(accountId: string): number {
  const [, period, startsOn] = /@(day|month)-(\d{4}-\d{2}-\d{2})$/.exec(accountId)!
  return periodAt[period as SharedPeriod](Date.parse(startsOn!)).endsAt
}

/** The budget of an account; without periods both have the same id. */
export const budgetIdOf = (accountId: string): string => accountId.split('@', 1)[0]!

export const isOfPeriod = (accountId: string): boolean => accountId.includes('@')
