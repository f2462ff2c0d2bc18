/** What the routes of a Control Panel use. */
import type { Fleet } from './fleet.ts'
import type { PanelTelemetry } from './telemetry.ts'

export interface PanelRooms {
  fleet: Fleet
  telemetry: PanelTelemetry
  version: string
  /** How long runtimes may spend without hearing from the panel, in ms. */
  ttlMs: number
  /** Such as leases that were quarantined. */
  onNotice: (text: string) => void
}
