/** The dependencies of the routes. A route names those it uses: `Pick<Deps, 'state' | 'money'>`. */
import type { Access } from '../access/open-access.ts'
import type { Supervisor } from '../agents/supervisor.ts'
import type { Alerts } from '../alerts/alerts.ts'
import type { Audit } from '../audit/chain.ts'
import type { Money } from '../budget/open-money.ts'
import type { RunningConfig } from '../config/running-config.ts'
import type { Config } from '../config/schema.ts'
import type { Clock } from '../core/clock.ts'
import type { Store } from '../db/store.ts'
import type { Gateway } from '../gateway/open-gateway.ts'
import type { Incidents } from '../redaction/incidents.ts'
import type { Safety } from '../redaction/safety.ts'
import type { StateManager } from '../state/state-manager.ts'
import type { Leases } from '../uplink/leases.ts'
import type { Secrets } from '../vault/open-vault.ts'

export interface Deps {
  config: Pick<Config, 'agent' | 'budget' | 'services' | 'server' | 'safety' | 'providers' | 'prices' | 'price_list'>
  running: RunningConfig
  clock: Clock
  store: Store
  state: StateManager
  audit: Audit
  safety: Safety
  incidents: Incidents
  money: Money
  /** Undefined for a server that shares no budget, and while no server runs. */
  leases?: Leases | undefined
  secrets: Pick<Secrets, 'vault' | 'central' | 'rotation'>
  access: Access
  gateway: Pick<Gateway, 'answer' | 'upstream' | 'circuits' | 'contents'>
  supervisor: Supervisor
  alerts: Alerts
}
