/** The routes of a Control Panel. A runtime's routes answer for that runtime alone; people see their own organization. */
import * as z from 'zod'
import { openApiDocument } from '../api/openapi.ts'
import { count, PANEL_TAGS, type Route, routesOf } from '../api/route.ts'
import type { Member, PanelRole } from './fleet.ts'
import { fleetRoutes } from './fleet-routes.ts'
import { leaseRoutes, membershipRoutes } from './lease-routes.ts'
import type { PanelRooms } from './rooms.ts'

export function panelRoutes(rooms: PanelRooms): Route<PanelRole>[] {
  const routes: Route<PanelRole>[] = [
    ...healthRoutes(rooms, () => routes),
    ...membershipRoutes(rooms),
    ...leaseRoutes(rooms),
    ...fleetRoutes(rooms),
  ]
  return routes
}

const panelRoute = routesOf<Member, PanelRole>('Panel')

const healthRoutes = ({ fleet, version }: PanelRooms, all: () => readonly Route<PanelRole>[]): Route<PanelRole>[] => [
  panelRoute('GET /health/live', {
    role: 'open',
    summary: 'Answers while the process runs.',
    reply: () => z.object({ status: z.literal('ok') }),
    handle: () => ({ status: 'ok' as const }),
  }),
  panelRoute('GET /health/ready', {
    role: 'open',
    summary: 'Answers whether the database can be used; 503 if it cannot.',
    reply: () => z.object({ status: z.enum(['ok', 'unready']) }),
    statuses: [200, 503],
    handle: async ({ context }) => {
      const isReady = await fleet.ping().then(
        () => true,
        () => false,
      )
      return context.json({ status: isReady ? 'ok' : 'unready' }, isReady ? 200 : 503)
    },
  }),
  panelRoute('GET /api/version', {
    role: 'open',
    summary: 'Returns the version.',
    reply: () => z.object({ version: z.string(), panel: z.literal(true) }),
    handle: () => ({ version, panel: true as const }),
  }),
  panelRoute('GET /api/openapi.json', {
    role: 'viewer',
    summary: 'Returns the OpenAPI document.',
    reply: () => z.looseObject({ openapi: z.string().describe('Version of the format.') }),
    handle: () => openApiDocument(all(), version, PANEL_TAGS),
  }),
  panelRoute('POST /api/auth/exchange', {
    role: 'open',
    summary: 'Exchanges the code of a link for a session.',
    body: z.strictObject({ code: z.string().max(100) }),
    reply: () =>
      z.object({ token: z.string(), role: z.enum(['admin', 'viewer']), expires_in: count().describe('Seconds.') }),
    errors: ['unauthorized'],
    handle: ({ body }) => fleet.exchange(body.code),
  }),
]
