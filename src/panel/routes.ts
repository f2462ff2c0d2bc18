/** The routes of a Control Panel. A runtime's routes answer for that runtime alone; people see their own organization. */
import * as z from 'zod'
import { CageError } from '../core/errors.ts'
import { openApiDocument } from '../http/openapi.ts'
import { PANEL_TAGS, type Route } from '../http/route.ts'
import { schemaRoutes } from '../http/schemas.ts'
import { accessRoutes } from './access/access-routes.ts'
import { credentialRoutes } from './access/credential-routes.ts'
import type { PanelRole } from './access/credentials.ts'
import { erasureRoutes } from './access/erasure-routes.ts'
import { signInRoutes } from './access/sign-in-routes.ts'
import { teamRoutes } from './access/team-routes.ts'
import { alertRoutes } from './alerts/alert-routes.ts'
import { panelAuditRoutes } from './audit-routes.ts'
import { leaseRoutes, membershipRoutes } from './bank/lease-routes.ts'
import { agentRequestRoutes } from './control/agent-request-routes.ts'
import { controlRoutes } from './control/control-routes.ts'
import { policyRoutes } from './control/policy-routes.ts'
import { requestRoutes } from './control/request-routes.ts'
import { centralSecretRoutes } from './control/secret-routes.ts'
import { fleetRoutes } from './fleet-routes.ts'
import { panelRoutesOf } from './panel-route.ts'
import type { PanelRooms } from './rooms.ts'
import { metricsRoutes } from './telemetry/metrics-routes.ts'
import { panelOtlpRoutes } from './telemetry/otlp-routes.ts'
import { reportRoutes } from './telemetry/report-routes.ts'
import { telemetryRoutes } from './telemetry/telemetry-routes.ts'

export function panelRoutes(rooms: PanelRooms): Route<PanelRole>[] {
  const routes: Route<PanelRole>[] = [
    ...healthRoutes(rooms, () => routes),
    ...schemaRoutes('Panel'),
    ...accessRoutes(rooms),
    ...signInRoutes(rooms),
    ...credentialRoutes(rooms),
    ...teamRoutes(rooms),
    ...membershipRoutes(rooms),
    ...leaseRoutes(rooms),
    ...telemetryRoutes(rooms),
    ...panelOtlpRoutes(rooms),
    ...fleetRoutes(rooms),
    ...metricsRoutes(rooms),
    ...requestRoutes(rooms),
    ...reportRoutes(rooms),
    ...alertRoutes(rooms),
    ...panelAuditRoutes(rooms),
    ...controlRoutes(rooms),
    ...agentRequestRoutes(rooms),
    ...centralSecretRoutes(rooms),
    ...policyRoutes(rooms),
    ...erasureRoutes(rooms),
  ]
  return routes
}

const panelRoute = panelRoutesOf('Panel')

/** It does not decide whether the panel is well: without it changes are only heard later. */
const REDIS = z.enum(['ok', 'unreachable']).optional().describe('Of a panel with `--redis`.')

const redisOf = ({ isRedisConnected }: PanelRooms): { redis?: 'ok' | 'unreachable' } =>
  isRedisConnected ? { redis: isRedisConnected() ? 'ok' : 'unreachable' } : {}

async function readiness({ fleet, drain }: PanelRooms): Promise<'ok' | 'unready' | 'draining'> {
  if (drain.isDraining) return 'draining'
  return fleet.ping().then(
    () => 'ok' as const,
    () => 'unready' as const,
  )
}

const healthRoutes = (rooms: PanelRooms, all: () => readonly Route<PanelRole>[]): Route<PanelRole>[] => [
  panelRoute('GET /health/live', {
    role: 'open',
    summary: 'Answers while the process runs.',
    reply: () => z.object({ status: z.literal('ok') }),
    handle: () => ({ status: 'ok' as const }),
  }),
  panelRoute('GET /health/ready', {
    role: 'open',
    summary:
      'Answers whether to send requests here: 503 while the database cannot be used, and before the process ends.',
    reply: () =>
      z.object({
        status: z.enum(['ok', 'unready', 'draining']).describe('`draining`: the process ends in a moment.'),
        redis: REDIS,
      }),
    statuses: [200, 503],
    handle: async ({ context }) => {
      const status = await readiness(rooms)
      return context.json({ status, ...redisOf(rooms) }, status === 'ok' ? 200 : 503)
    },
  }),
  panelRoute('GET /api/health', {
    role: 'open',
    summary: 'The same for `iron-cage health`, as a server answers it.',
    reply: () => z.object({ status: z.literal('ok'), version: z.string(), redis: REDIS }),
    errors: ['database_unusable'],
    handle: async () => {
      await rooms.fleet.ping().catch((cause: unknown) => {
        throw new CageError('database_unusable', "the panel's database cannot be used", {
          hint: 'check PostgreSQL',
          cause,
        })
      })
      return { status: 'ok' as const, version: rooms.version, ...redisOf(rooms) }
    },
  }),
  panelRoute('GET /api/version', {
    role: 'open',
    summary: 'Returns the version.',
    reply: () => z.object({ version: z.string(), panel: z.literal(true) }),
    handle: () => ({ version: rooms.version, panel: true as const }),
  }),
  panelRoute('GET /api/openapi.json', {
    role: 'viewer',
    summary: 'Returns the OpenAPI document.',
    reply: () => z.looseObject({ openapi: z.string().describe('Version of the format.') }),
    handle: () => openApiDocument(all(), rooms.version, PANEL_TAGS),
  }),
]
