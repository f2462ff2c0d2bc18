/**
 * Days and months of a time zone. Boundaries are found in the zone's own calendar, never computed from an offset, so
 * that a day may have 23, 24 or 25 hours, begin at one o'clock, or be left out.
 */

/** config.budget.period */
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

/** Length of a UTC day; days are counted in UTC. */
const DAY_MS = 86_400_000
/** Larger than the UTC offset of any zone, past or present. */
const MAX_OFFSET_MS = 16 * 3_600_000

/** Returns a function that gives the period of an instant. Throws RangeError for an unknown time zone. */
export function periodsOf({ every, time_zone: timeZone }: PeriodRule): (now: number) => Period {
  const calendar = new Intl.DateTimeFormat('en-US', { timeZone, year: 'numeric', month: 'numeric', day: 'numeric' })

  /** Returns the local day as a UTC midnight, so that days compare and count like numbers. */
  const dayAt = (at: number): number => {
    const parts = Object.fromEntries(calendar.formatToParts(at).map(({ type, value }) => [type, Number(value)]))
    return Date.UTC(parts.year!, parts.month! - 1, parts.day!)
  }

  /** Returns the first millisecond of a day, or of the next one if the zone left it out. */
  const beginOf = (day: number): number => {
    let before = day - MAX_OFFSET_MS
    let within = day + MAX_OFFSET_MS
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
    // A clock set back over midnight repeats yesterday; the new day continues.
    while (beginOf(nextFirstOf(first)) <= now) first = nextFirstOf(first)
    return { startsAt: beginOf(first), endsAt: beginOf(nextFirstOf(first)) }
  }
}

/** Returns the first day of the month `months` after that of `day`. */
function monthAfter(day: number, months: number): number {
  const date = new Date(day)
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + months, 1)
}
