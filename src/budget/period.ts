/**
 * Days and months of a time zone. A boundary is searched for in the zone's own calendar and never computed from an
 * offset, so that a day may have 23, 24 or 25 hours, begin at one o'clock, or be left out.
 */

/** (config.budget.period) */
export interface PeriodRule {
  every: 'day' | 'month'
  /** An IANA name: "Europe/Warsaw". */
  time_zone: string
}

/** From `startsAt` to before `endsAt`, in ms since 1970. */
export interface Period {
  readonly startsAt: number
  readonly endsAt: number
}

/** Of a UTC day, which days are counted by. */
const DAY_MS = 86_400_000
/** Farther from UTC than any zone has ever been. */
const FARTHEST_MS = 16 * 3_600_000

/** Says for an instant in which period it lies. Throws RangeError for a time zone that nobody knows. */
export function periodsOf({ every, time_zone: timeZone }: PeriodRule): (now: number) => Period {
  const calendar = new Intl.DateTimeFormat('en-US', { timeZone, year: 'numeric', month: 'numeric', day: 'numeric' })

  /** The day it is there, as a UTC midnight: days compare and count like numbers. */
  const dayAt = (at: number): number => {
    const parts = Object.fromEntries(calendar.formatToParts(at).map(({ type, value }) => [type, Number(value)]))
    return Date.UTC(parts.year!, parts.month! - 1, parts.day!)
  }

  /** The first millisecond of a day; of the next one when the zone left it out. */
  const beginOf = (day: number): number => {
    let before = day - FARTHEST_MS
    let within = day + FARTHEST_MS
    while (within - before > 1) {
      const middle = Math.floor((before + within) / 2)
      if (dayAt(middle) < day) before = middle
      else within = middle
    }
    return within
  }

  const firstOf = (day: number): number => (every === 'day' ? day : monthAfter(day, 0))
  const nextFirstOf = (first: number): number => (every === 'day' ? first + DAY_MS : monthAfter(first, 1))

  return (now) => {
    let first = firstOf(dayAt(now))
    // A clock set back over midnight shows yesterday once more; the day that has begun goes on.
    while (beginOf(nextFirstOf(first)) <= now) first = nextFirstOf(first)
    return { startsAt: beginOf(first), endsAt: beginOf(nextFirstOf(first)) }
  }
}

/** The first day of the month so many months after that of `day`. */
function monthAfter(day: number, months: number): number {
  const date = new Date(day)
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + months, 1)
}
