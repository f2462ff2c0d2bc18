/**
 * The routes that need nothing but the store. A server has them among others; commands use them in process while no server
 * runs.
 */
import { Hono } from 'hono'
import { agentRoutes } from './agents.ts'
import { budgetRoutes } from './budgets.ts'
import { callRoutes } from './calls.ts'
import type { Env, Guard } from './guard.ts'
import { type ReportParts, reportRoutes } from './report.ts'
import { type TokenParts, tokenRoutes } from './tokens.ts'
import { type UserParts, userRoutes } from './users.ts'

export interface StoreRouteParts extends ReportParts, TokenParts, UserParts {}

export function storeRoutes(parts: StoreRouteParts, guarded: Guard): Hono<Env> {
  const agents = agentRoutes(parts, guarded)
  const calls = callRoutes(parts, guarded)
  return new Hono<Env>()
    .route('/api/agents', agents)
    .route('/agent', agents)
    .route('/api/agents', calls)
    .route('/agent', calls)
    .route('/api/budgets', budgetRoutes(parts, guarded))
    .route('/', reportRoutes(parts, guarded))
    .route('/api/tokens', tokenRoutes(parts, guarded))
    .route('/api/users', userRoutes(parts, guarded))
}
