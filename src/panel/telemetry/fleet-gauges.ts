/**
 * What only a Control Panel knows of an organization, as gauges for Prometheus, which asks any process of the panel.
 *
 * The rules are:
 * - All of it is read from the database, so that every process of the panel has the same numbers.
 * - It is the reading of the fleet page: a graph and the page never differ.
 * - Names of budgets are people's words. The first 1,000 budgets in the page's order have numbers of their own; how many
 *   have none is a number too. They are not added up: the budget of a team is part of its organization's.
 */

import type { Level } from '../../core/events.ts'
import { add, fromUsd, NANOS_PER_USD, type Nanodollars, type Usd } from '../../core/money.ts'
import type { SpendingAlerts } from '../alerts/spending-alerts.ts'
import type { Fleet } from '../bank/budgets.ts'
import type { FleetView, LeaseView, RuntimeView, SharedBudgetView } from '../fleet-view.ts'
import type { SharedViews } from '../shared-views.ts'
import type { PanelTelemetry } from './telemetry.ts'

export type GaugeParts = {
  views: SharedViews<FleetView>
  fleet: Fleet
  telemetry: PanelTelemetry
  spendingAlerts: SpendingAlerts
}

/** As Prometheus has it. */
export interface Gauge {
  name: string
  help: string
  values: { labels: Record<string, string>; value: number }[]
}

/** The parts of the fleet page that come from other routes. */
export interface Today {
  pendingRequests: number
  /** Of the current day, UTC. */
  spendingAlerts: number
  spentNanos: bigint
  /** Personal data that was found, by level. */
  incidents: readonly { level: string; count: number }[]
}

export const MAX_BUDGETS = 1_000

/** Rejects when the database cannot be used. */
export async function readGauges(parts: GaugeParts, organizationId: string): Promise<Gauge[]> {
  const { views, fleet, telemetry, spendingAlerts } = parts
  const { view } = await views.view(organizationId)
  const today = view.server_time.slice(0, 10)
  const requests = await fleet.requests.list(organizationId)
  const alerts = await spendingAlerts.list(organizationId)
  const spent = await telemetry.store.spending(organizationId, today, 'model')
  const incidents = await telemetry.store.countIncidents(organizationId, today)
  return gaugesOf(view, {
    incidents,
    pendingRequests: requests.filter(({ state }) => state === 'pending').length,
    spendingAlerts: alerts.filter(({ day }) => day === today).length,
    // A machine's clock may be ahead.
    spentNanos: spent.reduce((sum, { day, cost }) => (day === today ? sum + cost : sum), 0n),
  })
}

/** What `pii.found` is recorded with. */
const INCIDENT_LEVELS = ['WARN', 'CRIT'] as const satisfies Level[]

type Sample = [labels: Record<string, string>, value: number]

export function gaugesOf(view: FleetView, today: Today): Gauge[] {
  const gauge = (name: string, help: string, samples: readonly Sample[]): Gauge => ({
    name: `iron_cage_${name}`,
    help,
    values: samples.map(([labels, value]) => ({ labels: { organization: view.organization, ...labels }, value })),
  })
  const one = (name: string, help: string, value: number) => gauge(name, help, [[{}, value]])
  const gauges = [
    ...budgetGauges(view.budgets, gauge),
    ...runtimeGauges(view.runtimes, gauge),
    ...leaseGauges(
      view.runtimes.flatMap(({ leases }) => leases),
      gauge,
    ),
    one('requests_pending', 'Requests for more of a budget that wait for a decision', today.pendingRequests),
    one('spending_alerts', 'Agents and users whose spending of this day is unusual', today.spendingAlerts),
    gauge(
      'incidents_today',
      'Incidents of this day (UTC) that machines have reported: personal data and secrets that were found',
      INCIDENT_LEVELS.map((level) => [
        { level },
        today.incidents.reduce((sum, incident) => (incident.level === level ? sum + incident.count : sum), 0),
      ]),
    ),
    one(
      'spent_today_usd',
      'Cost of the calls of this day (UTC) that machines have reported',
      Number(today.spentNanos) / NANOS_PER_USD,
    ),
    one(
      'reconciling',
      '1 while nothing is lent because the database has lost its last commits',
      view.reconciling_until === null ? 0 : 1,
    ),
  ]
  // One without values would be a 0.
  return gauges.filter(({ values }) => values.length > 0)
}

type Define = (name: string, help: string, samples: readonly Sample[]) => Gauge

function budgetGauges(budgets: readonly SharedBudgetView[], gauge: Define): Gauge[] {
  const shown = budgets.slice(0, MAX_BUDGETS)
  const amounts = (name: string, help: string, amountOf: (budget: SharedBudgetView) => Usd): Gauge =>
    gauge(
      `shared_budget_${name}_usd`,
      help,
      shown.map((budget) => [{ scope: budget.scope, name: budget.name }, dollars(fromUsd(amountOf(budget)))]),
    )
  return [
    amounts('limit', 'Limit of a shared budget', ({ limit_usd }) => limit_usd),
    amounts('settled', 'Spent of a shared budget in its period', ({ settled_usd }) => settled_usd),
    amounts('lent', 'Lent to machines of a shared budget and not accounted for yet', ({ lent_usd }) => lent_usd),
    amounts('free', 'What can still be lent of a shared budget', ({ free_usd }) => free_usd),
    gauge('shared_budgets', 'Shared budgets', [[{}, budgets.length]]),
    gauge('shared_budgets_omitted', `Shared budgets after the first ${MAX_BUDGETS}, which have no metrics`, [
      [{}, budgets.length - shown.length],
    ]),
  ]
}

function runtimeGauges(runtimes: readonly RuntimeView[], gauge: Define): Gauge[] {
  const inState = (state: RuntimeView['state']) => runtimes.filter((runtime) => runtime.state === state)
  const lags = (['connected', 'silent'] as const).flatMap((state): Sample[] => {
    const known = inState(state).flatMap(({ lag_ms }) => lag_ms ?? [])
    return known.length === 0 ? [] : [[{ state }, known.reduce((most, lag) => Math.max(most, lag)) / 1000]]
  })
  return [
    gauge(
      'runtimes',
      'Machines by state',
      (['connected', 'silent', 'revoked'] as const).map((state) => [{ state }, inState(state).length]),
    ),
    gauge('runtimes_lag_max_seconds', 'Time since the machine of a state was seen that was not seen for longest', lags),
    gauge('runtimes_lost_events', 'Events that machines had to delete before they could report them', [
      [{}, runtimes.reduce((sum, { lost_events }) => sum + lost_events, 0)],
    ]),
  ]
}

function leaseGauges(leases: readonly LeaseView[], gauge: Define): Gauge[] {
  const byState = (sumOf: (leases: readonly LeaseView[]) => number): Sample[] =>
    (['active', 'expired', 'quarantined'] as const).map((state) => [
      { state },
      sumOf(leases.filter((lease) => lease.state === state)),
    ])
  return [
    gauge(
      'leases',
      'Open leases by state; a person may have to resolve an expired or quarantined one',
      byState(({ length }) => length),
    ),
    gauge(
      'leases_lent_usd',
      'What open leases of a state still have to account for',
      byState((some) => dollars(add(...some.map(({ lent_usd }) => fromUsd(lent_usd))))),
    ),
  ]
}

const dollars = (nanos: Nanodollars): number => nanos / NANOS_PER_USD
