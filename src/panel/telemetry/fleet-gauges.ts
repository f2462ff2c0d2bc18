/**
 * What only a Control Panel knows of an organization, as gauges: for Prometheus, which asks any process of the panel, and
 * for a collector of OpenTelemetry.
 *
 * The rules are:
 * - All of it is read from the database, so that every process of the panel has the same numbers.
 * - It is the reading of the fleet page: a graph and the page never differ.
 * - Names of budgets are people's words. The first 1,000 budgets in the page's order have numbers of their own; how many
 *   have none is a number too. They are not added up: the budget of a team is part of its organization's.
 */

import type { Level } from '../../core/events.ts'
import { add, fromUsd, NANOS_PER_USD, type Nanodollars, type Usd } from '../../core/money.ts'
import type { Gauge } from '../../otel/metrics.ts'
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

export interface FleetGauges {
  organization: string
  gauges: Gauge[]
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
export async function readGauges(parts: GaugeParts, organizationId: string): Promise<FleetGauges> {
  const { views, fleet, telemetry, spendingAlerts } = parts
  const { view } = await views.view(organizationId)
  const today = view.server_time.slice(0, 10)
  const requests = await fleet.requests.list(organizationId)
  const alerts = await spendingAlerts.list(organizationId)
  const spent = await telemetry.store.spending(organizationId, today, 'model')
  const incidents = await telemetry.store.countIncidents(organizationId, today)
  const gauges = gaugesOf(view, {
    incidents,
    pendingRequests: requests.filter(({ state }) => state === 'pending').length,
    spendingAlerts: alerts.filter(({ day }) => day === today).length,
    // A machine's clock may be ahead.
    spentNanos: spent.reduce((sum, { day, cost }) => (day === today ? sum + cost : sum), 0n),
  })
  return { organization: view.organization, gauges }
}

/** What `pii.found` is recorded with. */
const INCIDENT_LEVELS = ['WARN', 'CRIT'] as const satisfies Level[]

type Sample = [attributes: Record<string, string>, value: number]

export function gaugesOf(view: FleetView, today: Today): Gauge[] {
  const atMs = Date.parse(view.server_time)
  const common = { 'iron_cage.organization': view.organization }
  const gauge = (name: string, unit: string, description: string, samples: readonly Sample[]): Gauge => ({
    ...{ name: `iron_cage.${name}`, unit, description, atMs },
    values: samples.map(([attributes, value]) => ({ attributes: { ...common, ...attributes }, value })),
  })
  const one = (name: string, unit: string, description: string, value: number) =>
    gauge(name, unit, description, [[{}, value]])
  const gauges = [
    ...budgetGauges(view.budgets, gauge),
    ...runtimeGauges(view.runtimes, gauge),
    ...leaseGauges(
      view.runtimes.flatMap(({ leases }) => leases),
      gauge,
    ),
    one(
      'requests.pending',
      '{request}',
      'Requests for more of a budget that wait for a decision',
      today.pendingRequests,
    ),
    one('spending_alerts', '{alert}', 'Agents and users whose spending of this day is unusual', today.spendingAlerts),
    gauge(
      'incidents_today',
      '{incident}',
      'Incidents of this day (UTC) that machines have reported: personal data and secrets that were found',
      INCIDENT_LEVELS.map((level) => [
        { 'iron_cage.level': level },
        today.incidents.reduce((sum, incident) => (incident.level === level ? sum + incident.count : sum), 0),
      ]),
    ),
    one(
      'spent_today',
      'USD',
      'Cost of the calls of this day (UTC) that machines have reported',
      Number(today.spentNanos) / NANOS_PER_USD,
    ),
    one(
      'reconciling',
      '1',
      '1 while nothing is lent because the database has lost its last commits',
      view.reconciling_until === null ? 0 : 1,
    ),
  ]
  // One without values would be a 0 in Prometheus.
  return gauges.filter(({ values }) => values.length > 0)
}

type Define = (name: string, unit: string, description: string, samples: readonly Sample[]) => Gauge

function budgetGauges(budgets: readonly SharedBudgetView[], gauge: Define): Gauge[] {
  const shown = budgets.slice(0, MAX_BUDGETS)
  const amounts = (name: string, description: string, amountOf: (budget: SharedBudgetView) => Usd): Gauge =>
    gauge(
      `shared_budget.${name}`,
      'USD',
      description,
      shown.map((budget) => [
        { 'iron_cage.budget.scope': budget.scope, 'iron_cage.budget.name': budget.name },
        dollars(fromUsd(amountOf(budget))),
      ]),
    )
  return [
    amounts('limit', 'Limit of a shared budget', ({ limit_usd }) => limit_usd),
    amounts('settled', 'Spent of a shared budget in its period', ({ settled_usd }) => settled_usd),
    amounts('lent', 'Lent to machines of a shared budget and not accounted for yet', ({ lent_usd }) => lent_usd),
    amounts('free', 'What can still be lent of a shared budget', ({ free_usd }) => free_usd),
    gauge('shared_budgets', '{budget}', 'Shared budgets', [[{}, budgets.length]]),
    gauge(
      'shared_budgets.omitted',
      '{budget}',
      `Shared budgets after the first ${MAX_BUDGETS}, which have no metrics`,
      [[{}, budgets.length - shown.length]],
    ),
  ]
}

function runtimeGauges(runtimes: readonly RuntimeView[], gauge: Define): Gauge[] {
  const inState = (state: RuntimeView['state']) => runtimes.filter((runtime) => runtime.state === state)
  const attributes = (state: RuntimeView['state']) => ({ 'iron_cage.runtime.state': state })
  const lags = (['connected', 'silent'] as const).flatMap((state): Sample[] => {
    const known = inState(state).flatMap(({ lag_ms }) => lag_ms ?? [])
    return known.length === 0 ? [] : [[attributes(state), known.reduce((most, lag) => Math.max(most, lag)) / 1000]]
  })
  return [
    gauge(
      'runtimes',
      '{runtime}',
      'Machines by state',
      (['connected', 'silent', 'revoked'] as const).map((state) => [attributes(state), inState(state).length]),
    ),
    gauge('runtimes.lag.max', 's', 'Time since the machine of a state was seen that was not seen for longest', lags),
    gauge('runtimes.lost_events', '{event}', 'Events that machines had to delete before they could report them', [
      [{}, runtimes.reduce((sum, { lost_events }) => sum + lost_events, 0)],
    ]),
  ]
}

function leaseGauges(leases: readonly LeaseView[], gauge: Define): Gauge[] {
  const byState = (sumOf: (leases: readonly LeaseView[]) => number): Sample[] =>
    (['active', 'expired', 'quarantined'] as const).map((state) => [
      { 'iron_cage.lease.state': state },
      sumOf(leases.filter((lease) => lease.state === state)),
    ])
  return [
    gauge(
      'leases',
      '{lease}',
      'Open leases by state; a person may have to resolve an expired or quarantined one',
      byState(({ length }) => length),
    ),
    gauge(
      'leases.lent',
      'USD',
      'What open leases of a state still have to account for',
      byState((some) => dollars(add(...some.map(({ lent_usd }) => fromUsd(lent_usd))))),
    ),
  ]
}

const dollars = (nanos: Nanodollars): number => nanos / NANOS_PER_USD
