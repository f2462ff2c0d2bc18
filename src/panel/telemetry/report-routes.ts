/** For people: the cost of the agents of all machines, and the findings in their texts. */

import * as z from 'zod'
import { isoTime, systemClock } from '../../core/clock.ts'
import type { EventOf } from '../../core/events.ts'
import { toUsd } from '../../core/money.ts'
import { PII, type PiiType } from '../../core/pii-types.ts'
import { count, named, type Route, type Shape, time, usd } from '../../http/route.ts'
import { instant } from '../../http/shared-shapes.ts'
import type { PanelRole } from '../access/credentials.ts'
import type { SpendingAlerts } from '../alerts/spending-alerts.ts'
import type { Fleet } from '../bank/budgets.ts'
import type { FleetIncident, FleetSpending, SpendingAlertView } from '../fleet-view.ts'
import { panelRoutesOf } from '../panel-route.ts'
import { DIMENSIONS, type Spent } from './spending.ts'
import type { PanelTelemetry } from './telemetry.ts'
import type { StoredIncident } from './telemetry-store.ts'

const DAY_MS = 86_400_000
const MAX_DAYS = 366

const reportRoute = panelRoutesOf('Fleet')

export const reportRoutes = ({
  fleet,
  telemetry,
  spendingAlerts,
}: {
  fleet: Fleet
  telemetry: PanelTelemetry
  spendingAlerts: SpendingAlerts
}): Route<PanelRole>[] => [
  reportRoute('GET /api/fleet/spending', {
    role: 'viewer',
    summary: 'Returns what calls cost by day (UTC), as far as machines have reported.',
    query: z.strictObject({
      days: z.coerce.number().int().min(1).max(MAX_DAYS).default(14).describe('Up to today.'),
      by: z.enum(DIMENSIONS).default('model'),
    }),
    reply: () => z.object({ days: z.array(spendingOfDay()).describe('Oldest first; days without calls included.') }),
    handle: async ({ query: { days, by }, identity }) => {
      const today = Math.floor(systemClock.now() / DAY_MS) * DAY_MS
      const all = Array.from({ length: days }, (_, n) => isoTime(today - (days - 1 - n) * DAY_MS).slice(0, 10))
      const spent = await telemetry.store.spending(identity.organizationId, all[0]!, by)
      return { days: all.map((day) => ({ day, parts: partsOf(spent.filter((row) => row.day === day)) })) }
    },
  }),
  reportRoute('GET /api/fleet/spending/alerts', {
    role: 'viewer',
    summary: 'Lists agents and users whose spending of a day left its usual range, in the last 90 days, newest first.',
    reply: () => z.object({ alerts: z.array(alertView()) }),
    handle: async ({ identity }) => {
      const rows = await spendingAlerts.list(identity.organizationId)
      return {
        alerts: rows.map(({ scope, name, day, raised_at, cost_nanos, usual_nanos }) => ({
          ...{ scope, name, day, raised_at: isoTime(raised_at) },
          ...{ spent_usd: toUsd(cost_nanos), usual_usd: toUsd(usual_nanos) },
        })),
      }
    },
  }),
  reportRoute('GET /api/fleet/incidents', {
    role: 'viewer',
    summary:
      'Lists personal data that was found on any machine in the last 90 days, newest first. Values stay on the machine.',
    query: z.strictObject({
      limit: z.coerce.number().int().min(1).max(1_000).default(200),
      before: instant.optional().describe('Only what was found before this time.'),
    }),
    reply: () =>
      z.object({
        incidents: z.array(incidentView()),
        next: time().nullable().describe('`before` of the next page; null at the end.'),
      }),
    handle: async ({ query: { limit, before = null }, identity: { organizationId } }) => {
      const rows = await telemetry.store.incidents(organizationId, { before, limit })
      const { runtimes } = await fleet.read(organizationId)
      const names = new Map(runtimes.map(({ id, name }) => [id, name]))
      const states = rows.length > 0 ? await telemetry.states(organizationId) : undefined
      const incidents = rows.flatMap((row) => {
        const agent = states?.get(row.runtime_id)?.snapshot.agents[row.agent_id ?? '']?.name ?? row.agent_id
        return incidentOf(row, names.get(row.runtime_id) ?? row.runtime_id, agent) ?? []
      })
      return { incidents, next: rows.length === limit ? rows.at(-1)!.at : null }
    },
  }),
]

const partsOf = (spent: readonly Spent[]): FleetSpending['parts'] =>
  spent
    .toSorted((one, other) => (one.cost < other.cost ? 1 : -1))
    .map(({ name, calls, cost }) => ({ name, calls, cost_usd: toUsd(cost) }))

/** Reports in another form, of a runtime of another version or a broken one, are left out. */
function incidentOf({ at, data }: StoredIncident, machine: string, agent: string | null): FleetIncident | undefined {
  const { pii_type: type, action, place, count = 1 } = JSON.parse(data) as EventOf<'pii.found'>['data']
  const found = incidentView().safeParse({ at, machine, agent, type, action, place, count })
  return found.success ? (found.data as FleetIncident) : undefined
}

const spendingOfDay = named('FleetSpending', () =>
  z.object({
    day: z.string().describe('Such as 2026-01-02.'),
    parts: z.array(
      z.object({
        name: z.string().describe("Model or service, agent, team, user or machine; '' for no agent, team or user."),
        calls: count(),
        cost_usd: usd(),
      }),
    ),
  } satisfies Shape<FleetSpending>),
)

const alertView = named('SpendingAlert', () =>
  z.object({
    raised_at: time(),
    scope: z.enum(['agent', 'user']),
    name: z.string(),
    day: z.string().describe('Such as 2026-01-02, UTC.'),
    spent_usd: usd().describe('When the alert was raised.'),
    usual_usd: usd().describe('The median of the days before.'),
  } satisfies Shape<SpendingAlertView>),
)

const incidentView = named('FleetIncident', () =>
  z.object({
    at: time(),
    machine: z.string(),
    agent: z.string().nullable(),
    type: z.enum(Object.keys(PII) as PiiType[]),
    action: z.enum(['redact', 'block', 'warn']),
    place: z.string(),
    count: count(),
  } satisfies Shape<FleetIncident>),
)
