/**
 * For admins: alerts of the organization, answered like a server's own ones, so that "iron-cage alerts" works at both; and
 * the webhooks of the organization.
 */

import * as z from 'zod'
import { PANEL_ALERTS } from '../../config/schema.ts'
import { isoTime } from '../../core/clock.ts'
import { count, named, type Route, type Shape, time } from '../../http/route.ts'
import { level } from '../../http/shared-shapes.ts'
import type { PanelRole } from '../access/credentials.ts'
import type { AlertWebhookView, PanelAlertView } from '../fleet-view.ts'
import { panelRoutesOf } from '../panel-route.ts'
import type { StoredDelivery } from './alert-sender.ts'
import { eventsOf, type StoredAlertWebhook } from './alert-webhooks.ts'
import type { AlertPlace, PanelAlerts } from './alerts.ts'

const alertRoute = panelRoutesOf('Fleet')

const alertView = named('PanelAlert', () =>
  z.object({
    id: z.string(),
    kind: z.enum([...PANEL_ALERTS, 'test']),
    level: level(),
    title: z.string(),
    detail: z.string(),
    at: time(),
    delivered: z.array(z.string()).describe('The channels it was delivered to.'),
    pending: z.array(z.string()).describe('Those that it is on its way to.'),
    failed: z
      .array(z.object({ channel: z.string(), error: z.string() }))
      .describe('The channels that failed for good, and why.'),
  } satisfies Shape<PanelAlertView>),
)

/** `AlertWebhooks` checks its target. */
const webhookUrl = z
  .url({ protocol: /^https?$/, error: 'expected an address such as https://hooks.example.com/…' })
  .max(2_000)
  .refine((text) => !URL.canParse(text) || new URL(text).username + new URL(text).password === '', {
    error: 'expected an address without a user; sign deliveries with "secret"',
  })

const webhookView = named('AlertWebhook', () =>
  z.object({
    id: z.string(),
    host: z.string().describe('Of its address, whose path may be a secret.'),
    events: z.array(z.enum(PANEL_ALERTS)).nullable().describe('The alerts that it gets; null for all.'),
    created_at: time(),
    created_by: z.string(),
  } satisfies Shape<AlertWebhookView>),
)

export const alertRoutes = (parts: { alerts: PanelAlerts }): Route<PanelRole>[] => [
  ...listRoutes(parts),
  ...webhookRoutes(parts),
]

const listRoutes = ({ alerts }: { alerts: PanelAlerts }): Route<PanelRole>[] => [
  alertRoute('GET /api/alerts', {
    role: 'admin',
    summary: 'Lists the last 200 alerts that were sent, newest first.',
    reply: () => z.object({ alerts: z.array(alertView()) }),
    handle: async ({ identity: { organizationId } }) => {
      const places = await alerts.places(organizationId)
      const byAlert = Map.groupBy(await alerts.list(organizationId), ({ alert_id }) => alert_id)
      return { alerts: [...byAlert.values()].map((deliveries) => alertViewOf(deliveries, places)) }
    },
  }),
  alertRoute('GET /api/alerts/channels', {
    role: 'admin',
    summary: 'Lists where alerts are sent.',
    reply: () => z.object({ channels: z.array(z.string()) }),
    handle: async ({ identity }) => ({
      channels: (await alerts.places(identity.organizationId)).map(({ name }) => name),
    }),
  }),
  alertRoute('POST /api/alerts/test', {
    role: 'admin',
    summary: 'Sends a test alert.',
    reply: () => z.object({ alert_id: z.string(), channels: z.array(z.string()).describe('It is sent to these.') }),
    statuses: [201],
    errors: ['conflict'],
    handle: async ({ identity }) => {
      const { id: alert_id, places } = await alerts.test(identity)
      return { alert_id, channels: places.map(({ name }) => name) }
    },
  }),
  alertRoute('POST /api/alerts/:id/resend', {
    role: 'admin',
    summary: 'Retries failed deliveries.',
    reply: () => z.object({ resent: count().describe('Number of deliveries.') }),
    errors: ['not_found'],
    handle: async ({ params, identity }) => ({ resent: await alerts.resend(identity, params.id) }),
  }),
]

const webhookRoutes = ({ alerts }: { alerts: PanelAlerts }): Route<PanelRole>[] => [
  alertRoute('GET /api/fleet/webhooks', {
    role: 'admin',
    summary: 'Lists the webhooks of the organization, without their addresses.',
    reply: () => z.object({ webhooks: z.array(webhookView()) }),
    handle: async ({ identity }) => ({
      webhooks: (await alerts.webhooks.list(identity.organizationId)).map(webhookViewOf),
    }),
  }),
  alertRoute('POST /api/fleet/webhooks', {
    role: 'admin',
    summary:
      'Adds a webhook for alerts of the organization: an https address of the public internet, or one in a network that the panel allows.',
    body: z.strictObject({
      url: webhookUrl,
      secret: z.string().min(1).max(1024).optional().describe('Key that signs each delivery with HMAC-SHA-256.'),
      events: z.array(z.enum(PANEL_ALERTS)).min(1).optional().describe('The alerts that it gets. Defaults to all.'),
    }),
    reply: () => webhookView(),
    statuses: [201],
    errors: ['vault_locked', 'conflict'],
    handle: async ({ body, identity }) => webhookViewOf(await alerts.webhooks.add(identity, body)),
  }),
  alertRoute('DELETE /api/fleet/webhooks/:id', {
    role: 'admin',
    summary: 'Removes a webhook.',
    reply: null,
    errors: ['not_found'],
    handle: ({ params, identity }) => alerts.webhooks.remove(identity, params.id),
  }),
]

function alertViewOf(deliveries: readonly StoredDelivery[], places: readonly AlertPlace[]): PanelAlertView {
  const { alert_id: id, kind, level, title, detail, raised_at } = deliveries[0]!
  const inState = (wanted: StoredDelivery['state']) =>
    deliveries
      .filter(({ state }) => state === wanted)
      .map(({ channel, error }) => ({
        // One that was removed has its id left.
        channel: places.find((place) => place.channel === channel)?.name ?? channel,
        error: error ?? 'unknown',
      }))
  const names = (state: StoredDelivery['state']) => inState(state).map(({ channel }) => channel)
  return {
    ...{ id, kind, level, title, detail, at: isoTime(raised_at) },
    ...{ delivered: names('delivered'), pending: names('pending'), failed: inState('failed') },
  }
}

const webhookViewOf = (row: StoredAlertWebhook): AlertWebhookView => ({
  ...{ id: row.id, host: row.host, events: eventsOf(row) ?? null },
  ...{ created_at: isoTime(row.created_at), created_by: row.created_by },
})
