/** What the routes of a Control Panel use. */
import type { BlockList } from 'node:net'
import type { Erasures } from './access/erasure.ts'
import type { ProviderSignIns } from './access/provider-sign-ins.ts'
import type { PanelAlerts } from './alerts/alerts.ts'
import type { SpendingAlerts } from './alerts/spending-alerts.ts'
import type { Fleet } from './bank/budgets.ts'
import type { Control } from './control/control.ts'
import type { Orders } from './control/orders.ts'
import type { Policies } from './control/policies.ts'
import type { PanelSecrets } from './control/secrets.ts'
import type { Drain } from './drain.ts'
import type { FleetView } from './fleet-view.ts'
import type { SharedViews } from './shared-views.ts'
import type { OtlpForwarder } from './telemetry/otlp-forwarder.ts'
import type { PanelTelemetry } from './telemetry/telemetry.ts'

export interface PanelRooms {
  fleet: Fleet
  telemetry: PanelTelemetry
  orders: Orders
  control: Control
  secrets: PanelSecrets
  policies: Policies
  views: SharedViews<FleetView>
  providerSignIns: ProviderSignIns
  erasures: Erasures
  /** Undefined without a collector of OpenTelemetry. */
  otlp: OtlpForwarder | undefined
  /** Whose X-Forwarded-For is believed. */
  trustedProxies: BlockList
  spendingAlerts: SpendingAlerts
  alerts: PanelAlerts
  /** Whether changes are heard through Redis; undefined without it. */
  isRedisConnected: (() => boolean) | undefined
  drain: Drain
  version: string
  /** How long runtimes may spend without hearing from the panel, in ms. */
  ttlMs: number
  /** Such as leases that were quarantined. */
  onNotice: (text: string) => void
}
