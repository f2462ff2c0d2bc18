/**
 * Routes that need only the store. A server has them among others; commands use them in process while no server runs.
 */
import { Hono } from 'hono'
import { agentRoutes } from './agents.ts'
import { budgetRoutes } from './budgets.ts'
import { callRoutes } from './calls.ts'
import type { Env, Guard } from './guard.ts'
import { reportRoutes } from './report.ts'
import type { Rooms } from './rooms.ts'
import { tokenRoutes } from './tokens.ts'
import { userRoutes } from './users.ts'

export type StoreRooms = Pick<Rooms, 'config' | 'store' | 'state' | 'audit' | 'money' | 'access' | 'safety'>

export function storeRoutes(rooms: StoreRooms, guarded: Guard): Hono<Env> {
  const agents = agentRoutes(rooms, guarded)
  const calls = callRoutes(rooms, guarded)
  return new Hono<Env>()
    .route('/api/agents', agents)
    .route('/agent', agents)
    .route('/api/agents', calls)
    .route('/agent', calls)
    .route('/api/budgets', budgetRoutes(rooms, guarded))
    .route('/', reportRoutes(rooms, guarded))
    .route('/api/tokens', tokenRoutes(rooms, guarded))
    .route('/api/users', userRoutes(rooms, guarded))
}
