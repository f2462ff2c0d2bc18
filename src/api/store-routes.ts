/**
 * Routes that need only the store. A server has them among others; commands use them in process while no server runs.
 */

import type { Route } from '../http/route.ts'
import { agentRoutes } from './agents.ts'
import { alertListRoutes } from './alerts.ts'
import { budgetRoutes } from './budgets.ts'
import { circuitRoutes, modelRoutes } from './circuits.ts'
import type { Deps } from './deps.ts'
import { priceRoutes } from './prices.ts'
import { callSearchRoutes } from './reports/call-search.ts'
import { callRoutes } from './reports/calls.ts'
import { historyRoutes } from './reports/history.ts'
import { reportRoutes } from './reports/report.ts'
import { reportLinkRoutes } from './reports/report-links.ts'
import { scanRoutes } from './scan.ts'
import { stateRoutes } from './state.ts'
import { tokenRoutes } from './tokens.ts'
import { userRoutes } from './users.ts'

export type StoreDeps = Pick<
  Deps,
  'config' | 'store' | 'state' | 'audit' | 'money' | 'access' | 'safety' | 'leases'
> & {
  gateway: Pick<Deps['gateway'], 'circuits'>
}

export const storeRoutes = (deps: StoreDeps): Route[] => [
  ...agentRoutes(deps),
  ...callRoutes(deps),
  ...callSearchRoutes(deps),
  ...budgetRoutes(deps),
  ...reportRoutes(deps),
  ...reportLinkRoutes(deps),
  ...tokenRoutes(deps),
  ...userRoutes(deps),
  ...stateRoutes(deps),
  ...circuitRoutes(deps),
  ...modelRoutes(deps),
  ...alertListRoutes(deps),
  ...historyRoutes(deps),
  ...scanRoutes(deps),
  ...priceRoutes(deps),
]
