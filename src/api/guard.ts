/** Who is asking: a bearer token becomes an identity here, and every route says which role it needs. */
import type { MiddlewareHandler } from 'hono'
import type { ApiTokens } from '../access/api-tokens.ts'
import { type Identity, type Role, requireRole } from '../access/roles.ts'
import type { RunTokens } from '../access/run-tokens.ts'
import type { Sessions } from '../access/sessions.ts'
import { CageError } from '../errors.ts'
import type { StateManager } from '../state/state-manager.ts'

export interface Env {
  Variables: { identity: Identity }
}

export interface GuardParts {
  sessions: Sessions
  runTokens: RunTokens
  apiTokens: ApiTokens
  state: StateManager
}

export type Guard = (role: Role | 'any') => MiddlewareHandler<Env>

/** Throws CageError `unauthorized` or `forbidden`, and records it. */
export function guard({ sessions, runTokens, apiTokens, state }: GuardParts): Guard {
  const identify = async (header: string | undefined): Promise<Identity> => {
    const token = /^bearer +(\S+)$/i.exec(header ?? '')?.[1]
    if (!token) throw new CageError('unauthorized', 'this needs an Authorization header with a bearer token')
    const run = runTokens.find(token)
    if (run) return { role: 'agent', name: run.agentId, run }
    const row = apiTokens.find(token)
    if (row?.agent_id)
      return { role: 'agent', name: row.name, run: { agentId: row.agent_id, runId: null, name: row.name } }
    if (row && row.role !== 'agent') return { role: row.role, name: row.name, session: row.id }
    return sessions.identify(token)
  }
  return (role) => async (context, next) => {
    try {
      const identity = await identify(context.req.header('authorization'))
      if (role !== 'any') requireRole(identity, role)
      context.set('identity', identity)
    } catch (error) {
      const reason = error instanceof CageError ? error.message : 'unknown'
      const route = `${context.req.method} ${context.req.routePath}`
      state.record({
        type: 'auth.failed',
        level: 'WARN',
        message: `Refused ${route}: ${reason}`,
        data: { reason, route },
      })
      throw error
    }
    await next()
  }
}
