/**
 * `demo --recovery`: LinkedIn fails for one lead only, with a Retry-After. The circuit opens, calls are blocked, one
 * probe succeeds, and later leads have live profiles. How many leads this takes depends on the clock, so the checks
 * here hold for any number.
 */
import { fromUsd, NANOS_PER_USD, nanodollars, showUsd, toUsd } from '../src/core/money.ts'
import { type Checkpoint, EVERY_SHOW } from './check.ts'
import type { Lead, WorldOptions } from './world.ts'

/** LinkedIn can be called again after about this many leads. */
const LEADS_AWAY = 10
/** In whole seconds, and long enough for a busy machine to reach the next lead in time. */
const MIN_RETRY_AFTER_S = 3
/** Slow enough that cached profiles never cost enough for a warning within those seconds. */
const MIN_PACE_MS = 80
/** A lead with a cached profile costs three long readings instead of LinkedIn's fee and a short one. */
const CACHED_COSTS_MORE = nanodollars(NANOS_PER_USD / 2)

/** The minimum time per lead, in ms, for the requested one. */
export const recoveryPace = (requestedMs: number): number => Math.max(requestedMs, MIN_PACE_MS)

export function recoveringWorld(
  leads: readonly Lead[],
  paceMs: number,
): Pick<WorldOptions, 'recoverFromLead' | 'retryAfterS'> {
  const down = leads.find(({ trigger }) => trigger === 'linkedin_down')
  return {
    ...(down && { recoverFromLead: down.id + 1 }),
    retryAfterS: Math.max(MIN_RETRY_AFTER_S, Math.round((LEADS_AWAY * paceMs) / 1000)),
  }
}

export const RECOVERY: readonly Checkpoint[] = [
  ...EVERY_SHOW,
  {
    when: 'after lead 34',
    expected: 'LinkedIn: live → down → blocked → live',
    actual: (show) => {
      const answers = show
        .of('service.called')
        .filter(({ data }) => data.service === 'linkedin_api')
        .map(({ data: { tier, blocked } }) => (blocked ? 'blocked' : tier === 1 ? 'live' : 'down'))
      return `LinkedIn: ${answers.filter((answer, index) => answer !== answers[index - 1]).join(' → ')}`
    },
  },
  {
    when: 'the probe',
    expected: '1 trip, 1 half open, 1 closed by probe',
    actual: (show) => {
      const closed = show.of('circuit.closed').map(({ data }) => `closed by ${data.by}`)
      const [trips, probes] = [show.of('circuit.opened').length, show.of('circuit.half_opened').length]
      return `${trips} trip, ${probes} half open, ${closed.length} ${closed.join(', ')}`
    },
  },
  {
    when: 'the end',
    expected: 'completed, $23.00 and $0.50 for each cached profile, 0 warnings, 98% (98/100), 3 findings, 0 restarts',
    actual: (show) => {
      const { state, spent_usd, outcomes, restarts } = show.end()
      const { success, leaks_stopped } = show.figures(100)
      const live = showUsd(toUsd(nanodollars(fromUsd(spent_usd) - outcomes.degraded * CACHED_COSTS_MORE)))
      const warnings = show.of('budget.warned').length
      return `${state}, ${live} and $0.50 for each cached profile, ${warnings} warnings, ${success}, ${leaks_stopped} findings, ${restarts} restarts`
    },
  },
]
