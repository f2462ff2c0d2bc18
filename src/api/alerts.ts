import * as z from 'zod'
import { count, type Route, routesOf } from '../http/route.ts'
import type { Deps } from './deps.ts'
import { alertView } from './views.ts'

const route = routesOf('Alerts')

export const alertListRoutes = ({ state }: Pick<Deps, 'state'>): Route[] => [
  route('GET /api/alerts', {
    role: 'viewer',
    summary: 'Lists alerts.',
    reply: () => z.object({ alerts: z.array(alertView()) }),
    handle: () => ({ alerts: state.read().alerts }),
  }),
]

export const alertRoutes = ({ alerts }: Pick<Deps, 'alerts'>): Route[] => [
  route('GET /api/alerts/channels', {
    role: 'viewer',
    summary: 'Lists where alerts are sent.',
    reply: () => z.object({ channels: z.array(z.string()) }),
    handle: () => ({ channels: alerts.channels }),
  }),
  route('POST /api/alerts/test', {
    role: 'admin',
    action: 'alert.test',
    summary: 'Raises a test alert.',
    reply: () => z.object({ alert_id: z.string(), channels: z.array(z.string()).describe('It is sent to these.') }),
    statuses: [201],
    handle: ({ identity }) => {
      const { alertId: alert_id, channels } = alerts.test(identity.name)
      return { alert_id, channels }
    },
  }),
  route('POST /api/alerts/:id/ack', {
    role: 'admin',
    action: 'alert.acknowledge',
    summary: 'Acknowledges an alert.',
    reply: null,
    errors: ['not_found'],
    handle: ({ params, identity }) => alerts.acknowledge(params.id, identity.name),
  }),
  route('POST /api/alerts/:id/resend', {
    role: 'admin',
    action: 'alert.resend',
    summary: 'Retries failed deliveries.',
    reply: () => z.object({ resent: count().describe('Number of deliveries.') }),
    errors: ['not_found'],
    handle: ({ params }) => ({ resent: alerts.resend(params.id) }),
  }),
]
