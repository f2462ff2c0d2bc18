/**
 * Authentication and authorization: a bearer token becomes an identity here, and every route names the role it needs.
 * An admin's change is written to the audit before it is made: if the row cannot be written, the change is refused.
 */
import type { Context, MiddlewareHandler } from 'hono'
import type { Access } from '../access/open-access.ts'
import type { Connection } from '../access/peers.ts'
import { type Identity, type Role, requireRole } from '../access/roles.ts'
import type { Audit } from '../audit/chain.ts'
import { asCageError, CageError } from '../core/errors.ts'
import type { Refusals } from './refusals.ts'

export interface Env {
  Variables: { identity: Identity }
}

/** `action`: its name in the audit. (Default: the route, if it is an admin's and changes anything.) */
export type Guard = (role: RequiredRole, action?: string) => MiddlewareHandler<Env>

export interface GuardParts {
  access: Pick<Access, 'sessions' | 'runTokens' | 'apiTokens'>
  audit: Pick<Audit, 'append'>
  refusals: Refusals
}

/** `any`: a valid token of any role. */
export type RequiredRole = Role | 'any'

/**
 * Throws CageError `unauthorized`, `foreign_process` or `forbidden`, and records it; `database_unusable` when the audit
 * row of an action cannot be written.
 */
export function guard({ access: { sessions, runTokens, apiTokens }, audit, refusals }: GuardParts): Guard {
  const identify = async (context: Context): Promise<Identity> => {
    const header = context.req.header('authorization')
    const token = /^bearer +(\S+)$/i.exec(header ?? '')?.[1]
    if (!token) throw new CageError('unauthorized', 'this needs an Authorization header with a bearer token')
    const run = await runTokens.identify(token, connectionOf(context))
    if (run) return { role: 'agent', name: run.agentId, run }
    const row = apiTokens.find(token)
    if (row?.agent_id)
      return {
        role: 'agent',
        name: row.name,
        run: { agentId: row.agent_id, runId: null, name: row.name, script: '', tokenName: row.name },
      }
    if (row && row.role !== 'agent') return { role: row.role, name: row.name, session: row.id }
    return sessions.identify(token)
  }
  return (role, named) => async (context, next) => {
    let identity: Identity | undefined
    try {
      identity = await identify(context)
      if (role !== 'any') requireRole(identity, role)
      context.set('identity', identity)
    } catch (error) {
      const reason = error instanceof CageError ? error.message : 'unknown'
      refusals.record({ message: reason, reason, route: routeOf(context), who: identity && who(identity) })
      throw error
    }
    const action = named ?? (role === 'admin' && context.req.method !== 'GET' ? routeOf(context) : undefined)
    if (!action) return next()
    const entry = { ...who(context.get('identity')), target: targetOf(context) }
    audit.append({ ...entry, action })
    await next()
    if (context.error)
      audit.append({ ...entry, action: `${action}.failed`, details: { code: asCageError(context.error).code } })
  }
}

/** Undefined without a network, as in commands that work on the database file. */
export const connectionOf = ({ env }: Context): Connection =>
  (env as { incoming?: { socket: Connection } } | undefined)?.incoming?.socket ?? {}

/** Two tokens may have the same name. */
export function who(identity: Identity): { role: Role; actor: string } {
  const { role, name } = identity
  const isToken = identity.role !== 'agent' && identity.session.startsWith('token-')
  return { role, actor: isToken ? `${name} (${identity.session})` : name }
}

const routeOf = ({ req }: Context): string => `${req.method} ${req.routePath}`

/** The names in the route: an agent, a circuit, an alert, a token. */
const targetOf = ({ req }: Context): string | null => Object.values(req.param() as Record<string, string>)[0] ?? null
