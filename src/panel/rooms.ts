/** What the routes of a Control Panel use. */
import type { BlockList } from 'node:net'
import type { PanelAlerts } from './alerts.ts'
import type { Control } from './control.ts'
import type { Drain } from './drain.ts'
import type { Erasures } from './erasure.ts'
import type { Fleet } from './fleet.ts'
import type { FleetView } from './fleet-view.ts'
import type { Orders } from './orders.ts'
import type { OtlpForwarder } from './otlp-forwarder.ts'
import type { Policies } from './policies.ts'
import type { ProviderSignIns } from './provider-sign-ins.ts'
import type { PanelSecrets } from './secrets.ts'
import type { SharedViews } from './shared-views.ts'
import type { SpendingAlerts } from './spending-alerts.ts'
import type { PanelTelemetry } from './telemetry.ts'

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
