/** The routes of a Control Panel. A runtime's routes answer for that runtime alone; people see their own organization. */
import type { BlockList } from 'node:net'
import * as z from 'zod'
import { CageError } from '../core/errors.ts'
import { openApiDocument } from '../http/openapi.ts'
import { PANEL_TAGS, type Route } from '../http/route.ts'
import { schemaRoutes } from '../http/schemas.ts'
import { accessRoutes } from './access/access-routes.ts'
import { credentialRoutes } from './access/credential-routes.ts'
import type { PanelRole } from './access/credentials.ts'
import type { Erasures } from './access/erasure.ts'
import { erasureRoutes } from './access/erasure-routes.ts'
import type { ProviderSignIns } from './access/provider-sign-ins.ts'
import { signInRoutes } from './access/sign-in-routes.ts'
import { teamRoutes } from './access/team-routes.ts'
import { alertRoutes } from './alerts/alert-routes.ts'
import type { PanelAlerts } from './alerts/alerts.ts'
import type { SpendingAlerts } from './alerts/spending-alerts.ts'
import { panelAuditRoutes } from './audit-routes.ts'
import type { Fleet } from './bank/budgets.ts'
import { leaseRoutes, membershipRoutes } from './bank/lease-routes.ts'
import { agentRequestRoutes } from './control/agent-request-routes.ts'
import type { Control } from './control/control.ts'
import { controlRoutes } from './control/control-routes.ts'
import type { Orders } from './control/orders.ts'
import type { Policies } from './control/policies.ts'
import { policyRoutes } from './control/policy-routes.ts'
import { requestRoutes } from './control/request-routes.ts'
import { centralSecretRoutes } from './control/secret-routes.ts'
import type { PanelSecrets } from './control/secrets.ts'
import type { Drain } from './drain.ts'
import { fleetRoutes } from './fleet-routes.ts'
import type { FleetView } from './fleet-view.ts'
import { panelRoutesOf } from './panel-route.ts'
import type { SharedViews } from './shared-views.ts'
import { metricsRoutes } from './telemetry/metrics-routes.ts'
import { reportRoutes } from './telemetry/report-routes.ts'
import type { PanelTelemetry } from './telemetry/telemetry.ts'
import { telemetryRoutes } from './telemetry/telemetry-routes.ts'

/** The parts that routes are made with; each names those it uses. */
export interface PanelParts {
  fleet: Fleet
  telemetry: PanelTelemetry
  orders: Orders
  control: Control
  secrets: PanelSecrets
  policies: Policies
  views: SharedViews<FleetView>
  providerSignIns: ProviderSignIns
  erasures: Erasures
  /** Whose X-Forwarded-For is believed. */
  trustedProxies: BlockList
  spendingAlerts: SpendingAlerts
  alerts: PanelAlerts
  /** Whether changes arrive through Redis; undefined without it. */
  isRedisConnected: (() => boolean) | undefined
  drain: Drain
  version: string
  /** How long runtimes may spend without hearing from the panel, in ms. */
  ttlMs: number
  /** Such as leases that were quarantined. */
  onNotice: (text: string) => void
}

export function panelRoutes(parts: PanelParts): Route<PanelRole>[] {
  const routes: Route<PanelRole>[] = [
    ...healthRoutes(parts, () => routes),
    ...schemaRoutes('Panel'),
    ...accessRoutes(parts),
    ...signInRoutes(parts),
    ...credentialRoutes(parts),
    ...teamRoutes(parts),
    ...membershipRoutes(parts),
    ...leaseRoutes(parts),
    ...telemetryRoutes(parts),
    ...fleetRoutes(parts),
    ...metricsRoutes(parts),
    ...requestRoutes(parts),
    ...reportRoutes(parts),
    ...alertRoutes(parts),
    ...panelAuditRoutes(parts),
    ...controlRoutes(parts),
    ...agentRequestRoutes(parts),
    ...centralSecretRoutes(parts),
    ...policyRoutes(parts),
    ...erasureRoutes(parts),
  ]
  return routes
}

const panelRoute = panelRoutesOf('Panel')

/** It does not decide whether the panel is well: without it changes only arrive later. */
const REDIS = z.enum(['ok', 'unreachable']).optional().describe('Of a panel with `--redis`.')

const redisOf = ({ isRedisConnected }: PanelParts): { redis?: 'ok' | 'unreachable' } =>
  isRedisConnected ? { redis: isRedisConnected() ? 'ok' : 'unreachable' } : {}

async function readiness({ fleet, drain }: PanelParts): Promise<'ok' | 'unready' | 'draining'> {
  if (drain.isDraining) return 'draining'
  return fleet.ping().then(
    () => 'ok' as const,
    () => 'unready' as const,
  )
}

const healthRoutes = (parts: PanelParts, all: () => readonly Route<PanelRole>[]): Route<PanelRole>[] => [
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
      const status = await readiness(parts)
      return context.json({ status, ...redisOf(parts) }, status === 'ok' ? 200 : 503)
    },
  }),
  panelRoute('GET /api/health', {
    role: 'open',
    summary: 'The same for `iron-cage health`, as a server answers it.',
    reply: () => z.object({ status: z.literal('ok'), version: z.string(), redis: REDIS }),
    errors: ['database_unusable'],
    handle: async () => {
      await parts.fleet.ping().catch((cause: unknown) => {
        throw new CageError('database_unusable', "the panel's database cannot be used", {
          hint: 'check PostgreSQL',
          cause,
        })
      })
      return { status: 'ok' as const, version: parts.version, ...redisOf(parts) }
    },
  }),
  panelRoute('GET /api/version', {
    role: 'open',
    summary: 'Returns the version.',
    reply: () => z.object({ version: z.string(), panel: z.literal(true) }),
    handle: () => ({ version: parts.version, panel: true as const }),
  }),
  panelRoute('GET /api/openapi.json', {
    role: 'viewer',
    summary: 'Returns the OpenAPI document.',
    reply: () => z.looseObject({ openapi: z.string().describe('Version of the format.') }),
    handle: () => openApiDocument(all(), parts.version, PANEL_TAGS),
  }),
]
