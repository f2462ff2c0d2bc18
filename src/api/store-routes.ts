/**
 * Routes that need only the store. A server has them among others; commands use them in process while no server runs.
 */
import { agentRoutes } from './agents.ts'
import { alertListRoutes } from './alerts.ts'
import { budgetRoutes } from './budgets.ts'
import { callSearchRoutes } from './call-search.ts'
import { callRoutes } from './calls.ts'
import { circuitRoutes, modelRoutes } from './circuits.ts'
import { historyRoutes } from './history.ts'
import { priceRoutes } from './prices.ts'
import { reportRoutes } from './report.ts'
import { reportLinkRoutes } from './report-links.ts'
import type { Rooms } from './rooms.ts'
import type { Route } from './route.ts'
import { scanRoutes } from './scan.ts'
import { stateRoutes } from './state.ts'
import { tokenRoutes } from './tokens.ts'
import { userRoutes } from './users.ts'

export type StoreRooms = Pick<Rooms, 'config' | 'store' | 'state' | 'audit' | 'money' | 'access' | 'safety'> & {
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
