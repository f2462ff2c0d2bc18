/**
 * `GET /metrics` of a Control Panel for Prometheus: the gauges of the caller's organization. Nothing of the process: behind
 * a load balancer each request reaches another one, and it serves all organizations.
 */
import type { Route } from '../../http/route.ts'
import type { PanelRole } from '../access/credentials.ts'
import { panelRoutesOf } from '../panel-route.ts'
import { type GaugeParts, readGauges } from './fleet-gauges.ts'

export const metricsRoutes = (parts: GaugeParts): Route<PanelRole>[] => [
  panelRoutesOf('Fleet')('GET /metrics', {
    role: 'viewer',
    summary: 'Serves budgets, runtimes, leases and requests as metrics in the Prometheus text format.',
    reply: null,
    types: ['text/plain'],
    handle: async ({ context, identity }) => {
      const gauges = await readGauges(parts, identity.organizationId)
      // Through the default export: in a bundle CommonJS has no named exports. Most panels are never asked for metrics.
      const { default: prometheus } = await import('prom-client')
      const registry = new prometheus.Registry()
      for (const { name, help, values } of gauges) {
        const labelNames = [...new Set(values.flatMap(({ labels }) => Object.keys(labels)))]
        const metric = new prometheus.Gauge({ name, help, labelNames, registers: [registry] })
        for (const { labels, value } of values) metric.set(labels, value)
      }
      context.header('content-type', prometheus.Registry.PROMETHEUS_CONTENT_TYPE)
      return context.body(await registry.metrics())
    },
  }),
]
