/**
 * Routes that need only the store. A server has them among others; commands use them in process while no server runs.
 */

import type { Route } from '../http/route.ts'
import { agentRoutes } from './agents.ts'
import { alertListRoutes } from './alerts.ts'
import { budgetRoutes } from './budgets.ts'
import { circuitRoutes, modelRoutes } from './circuits.ts'
import { priceRoutes } from './prices.ts'
import { callSearchRoutes } from './reports/call-search.ts'
import { callRoutes } from './reports/calls.ts'
import { historyRoutes } from './reports/history.ts'
import { reportRoutes } from './reports/report.ts'
import { reportLinkRoutes } from './reports/report-links.ts'
import type { Rooms } from './rooms.ts'
import { scanRoutes } from './scan.ts'
import { stateRoutes } from './state.ts'
import { tokenRoutes } from './tokens.ts'
import { userRoutes } from './users.ts'

export type StoreRooms = Pick<
  Rooms,
  'config' | 'store' | 'state' | 'audit' | 'money' | 'access' | 'safety' | 'leases'
> & {
  gateway: Pick<Rooms['gateway'], 'circuits'>
}

export const storeRoutes = (rooms: StoreRooms): Route[] => [
  ...agentRoutes(rooms),
  ...callRoutes(rooms),
  ...callSearchRoutes(rooms),
  ...budgetRoutes(rooms),
  ...reportRoutes(rooms),
  ...reportLinkRoutes(rooms),
  ...tokenRoutes(rooms),
  ...userRoutes(rooms),
  ...stateRoutes(rooms),
  ...circuitRoutes(rooms),
  ...modelRoutes(rooms),
  ...alertListRoutes(rooms),
  ...historyRoutes(rooms),
  ...scanRoutes(rooms),
  ...priceRoutes(rooms),
]
