import type { EventOf, RuntimeEvent } from '../../core/events.ts'
import { fromUsd } from '../../core/money.ts'
import { type AlertView, MAX_ALERTS } from '../snapshot.ts'

export function applyToAlerts(alerts: AlertView[], event: RuntimeEvent): AlertView[] {
  switch (event.type) {
    case 'alert.raised':
      return keepAlerts([newAlert(event), ...alerts])
    case 'alert.acknowledged':
    case 'alert.delivered':
    case 'alert.failed':
      return alerts.map((alert) => (alert.id === event.data.alert_id ? applyToAlert(alert, event) : alert))
    case 'budget.raised':
      return alerts.map((alert) =>
        isAnswered(alert, event) ? { ...decided(alert, 'approved'), acknowledged: true } : alert,
      )
    default:
      return alerts
  }
}

/** An increase answers the alerts that asked for it. */
const isAnswered = (
  { kind, budget, agent_id }: AlertView,
  { agent_id: raised, data }: EventOf<'budget.raised'>,
): boolean =>
  (kind === 'budget_warning' || kind === 'budget_exhausted' || kind === 'budget_requested') &&
  budget === (data.budget ?? null) &&
  (budget !== null || agent_id === raised) &&
  fromUsd(data.limit_usd) > fromUsd(data.from_usd)

/** With its request decided, if it has one that waits. */
const decided = ({ request, ...alert }: AlertView, state: 'approved' | 'rejected'): AlertView => ({
  ...alert,
  ...(request && { request: request.state === 'pending' ? { ...request, state } : request }),
})

function newAlert(event: EventOf<'alert.raised'>): AlertView {
  const { alert_id, kind, title, detail, budget = null, circuit = null, request, source_seq } = event.data
  return {
    id: alert_id,
    kind,
    level: event.level,
    title,
    detail,
    at: event.at,
    agent_id: event.agent_id,
    budget,
    circuit,
    ...(request && { request: { ...request, state: 'pending' } }),
    source_seq,
    acknowledged: false,
    delivered: [],
    failed: [],
  }
}

/**
 * Newest first. Evicts the oldest acknowledged one, else the oldest of the most frequent kind, so that none crowds out
 * others.
 */
function keepAlerts(alerts: AlertView[]): AlertView[] {
  if (alerts.length <= MAX_ALERTS) return alerts
  const counts = new Map<string, number>()
  for (const { kind } of alerts) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  const highest = Math.max(...counts.values())
  const dropped =
    alerts.findLast(({ acknowledged }) => acknowledged) ?? alerts.findLast(({ kind }) => counts.get(kind) === highest)
  return alerts.filter((alert) => alert !== dropped)
}

function applyToAlert(
  alert: AlertView,
  event: EventOf<'alert.acknowledged' | 'alert.delivered' | 'alert.failed'>,
): AlertView {
  if (event.type === 'alert.acknowledged') return { ...decided(alert, 'rejected'), acknowledged: true }
  const { channel } = event.data
  const failed = alert.failed.filter((other) => other.channel !== channel)
  return event.type === 'alert.delivered'
    ? { ...alert, delivered: [...alert.delivered, channel], failed }
    : { ...alert, failed: [...failed, { channel, error: event.data.error }] }
}
