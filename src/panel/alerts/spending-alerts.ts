/**
 * Finds agents and users whose spending of a day leaves its usual range, and keeps one alert for each of them and day.
 *
 * The range is that of the modified z-score of B. Iglewicz and D. C. Hoaglin, "How to Detect and Handle Outliers"
 * (ASQC, 1993): M = 0.6745 (x − median) / MAD, and a value is an outlier from M = 3.5 on. Medians are not moved by the
 * few days that are unlike the others. Days without spending are no part of the history: a person who works on Mondays
 * is not unusual then.
 */
import { isoTime } from '../../core/clock.ts'
import { type Nanodollars, nanodollars, showUsd, toUsd } from '../../core/money.ts'
import type { PanelDatabase, Sql } from '../db/database.ts'
import { readSpending } from '../telemetry/spending.ts'

export interface StoredSpendingAlert {
  organization_id: string
  scope: (typeof SCOPES)[number]
  name: string
  day: string
  raised_at: number
  cost_nanos: Nanodollars
  /** The median of the days before. */
  usual_nanos: Nanodollars
}

const SCOPES = ['agent', 'user'] as const
const DAY_MS = 86_400_000
/** How far back the history goes. */
const HISTORY_DAYS = 30
/** Days with spending without which nothing is usual yet. */
export const MIN_HISTORY_DAYS = 7
const MAX_SCORE = 3.5
const NORMAL = 0.6745
/** Whoever spends the same each day has a MAD of 0: a tenth of the median is never unusual. */
const MIN_SPREAD = 0.1
/** Machines may report a day's last calls after midnight, so that the day before is looked at again. */
const DAYS_LOOKED_AT = 2
/** How long alerts are shown. */
const SHOWN_DAYS = 90
/** Any number that no other lock of this database uses. */
const LOCK = 0x7370656e

/** The median of `history` if `spent` is above its usual range; undefined otherwise, and for too short a history. */
export function usualIfExceeded(spent: number, history: readonly number[]): number | undefined {
  if (history.length < MIN_HISTORY_DAYS) return undefined
  const usual = median(history)
  const mad = median(history.map((each) => Math.abs(each - usual)))
  const score = (NORMAL * (spent - usual)) / Math.max(mad, MIN_SPREAD * usual)
  return score > MAX_SCORE ? usual : undefined
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

export class SpendingAlerts {
  readonly #database: PanelDatabase

  constructor(database: PanelDatabase) {
    this.#database = database
  }

  /** Looks at the day of `now` and the one before; other processes of the panel that look meanwhile leave it to this one. Returns a sentence for each new alert. */
  look(organizationId: string, now: number): Promise<string[]> {
    const { dialect } = this.#database
    const dayBefore = (days: number) => isoTime(now - days * DAY_MS).slice(0, 10)
    return this.#database.within(organizationId, async (sql) => {
      if (dialect.kind === 'postgres') {
        const [lock] = await sql.rows<{ is_ours: boolean }>(
          'SELECT pg_try_advisory_xact_lock($1, hashtext($2)) AS is_ours',
          [LOCK, organizationId],
        )
        if (!lock!.is_ours) return []
      }
      const found: string[] = []
      for (const scope of SCOPES) {
        const since = dayBefore(HISTORY_DAYS + DAYS_LOOKED_AT)
        const spent = await readSpending(sql, dialect, organizationId, { since, by: scope })
        const bySubject = Map.groupBy(
          spent.filter(({ name, cost }) => name !== '' && cost > 0n),
          ({ name }) => name,
        )
        for (const [name, days] of bySubject) {
          for (let ago = 0; ago < DAYS_LOOKED_AT; ago++) {
            const day = dayBefore(ago)
            const cost = Number(days.find((each) => each.day === day)?.cost ?? 0)
            const usual = usualIfExceeded(
              cost,
              days.filter((each) => each.day < day).map((each) => Number(each.cost)),
            )
            if (usual === undefined) continue
            const alert = {
              scope,
              name,
              day,
              cost_nanos: nanodollars(cost),
              usual_nanos: nanodollars(Math.round(usual)),
            }
            if (await this.#raise(sql, organizationId, alert)) found.push(sentenceOf(alert))
          }
        }
      }
      return found
    })
  }

  /** Of the last 90 days, newest first. */
  list(organizationId: string): Promise<StoredSpendingAlert[]> {
    const { now } = this.#database.dialect
    return this.#database.within(organizationId, (sql) =>
      sql.rows<StoredSpendingAlert>(
        `SELECT * FROM spending_alerts WHERE organization_id = $1 AND raised_at > ${now} - ${SHOWN_DAYS * DAY_MS}
         ORDER BY raised_at DESC, day DESC, scope DESC, name LIMIT 1000`,
        [organizationId],
      ),
    )
  }

  /** Returns whether it is new. */
  async #raise(sql: Sql, organizationId: string, alert: NewAlert): Promise<boolean> {
    const { scope, name, day, cost_nanos, usual_nanos } = alert
    const raised = await sql.rows(
      `INSERT INTO spending_alerts (organization_id, scope, name, day, raised_at, cost_nanos, usual_nanos)
       VALUES ($1, $2, $3, $4, ${this.#database.dialect.now}, $5, $6) ON CONFLICT DO NOTHING RETURNING name`,
      [organizationId, scope, name, day, cost_nanos, usual_nanos],
    )
    return raised.length > 0
  }
}

type NewAlert = Omit<StoredSpendingAlert, 'organization_id' | 'raised_at'>

export const sentenceOf = ({ scope, name, day, cost_nanos: cost, usual_nanos: usual }: NewAlert): string =>
  `${scope} ${name} spent ${showUsd(toUsd(cost))} on ${day}; ${showUsd(toUsd(usual))} a day is usual`
