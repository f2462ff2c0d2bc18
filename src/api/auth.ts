import type { Context } from 'hono'
import * as z from 'zod'
import type { SessionTokens } from '../access/sessions.ts'
import { asCageError, CageError } from '../core/errors.ts'
import { callerAddress, NO_PROXIES } from '../http/caller-address.ts'
import type { Refusals } from '../http/refusals.ts'
import { type Route, routesOf } from '../http/route.ts'
import { MAX_PROOF_BYTES, sessionTokens } from '../http/shared-shapes.ts'
import type { Deps } from './deps.ts'

const route = routesOf('Access')

type AuthDeps = Pick<Deps, 'access' | 'audit'> & { refusals: Refusals }

/**
 * Sessions: by the one-time code of the terminal's link, or by name and password; refresh, logout, tickets for the
 * WebSocket. The audit records sign-ins and failed attempts.
 */
export function authRoutes({ access: { sessions, users }, audit, refusals }: AuthDeps): Route[] {
  const recordFailure = (context: Context, error: unknown): never => {
    const { message: reason } = asCageError(error)
    refusals.record({ message: reason, reason, route: `${context.req.method} ${context.req.routePath}` })
    throw error
  }
  const enter = async (context: Context, attempt: () => Promise<SessionTokens>, action: string) => {
    const tokens = await attempt().catch((error: unknown) => recordFailure(context, error))
    // Without this row the tokens are not handed out.
    audit.append({ role: tokens.role, actor: tokens.name, action })
    return tokens
  }
  return [
    route('POST /api/auth/exchange', {
      role: 'open',
      summary: 'Opens a session with a one-time code from a sign-in link.',
      body: z.object({ code: z.string() }),
      maxBytes: MAX_PROOF_BYTES,
      reply: sessionTokens,
      errors: ['unauthorized'],
      handle: ({ context, body }) => enter(context, async () => sessions.exchange(body.code), 'auth.sign_in'),
    }),
    route('POST /api/auth/login', {
      role: 'open',
      summary: 'Opens a session with user name and password.',
      // No valid one is longer, and longer ones would cost time to check.
      body: z.object({ username: z.string().max(200), password: z.string().max(1024) }),
      maxBytes: MAX_PROOF_BYTES,
      reply: sessionTokens,
      errors: ['unauthorized', 'too_many_attempts'],
      handle: ({ context, body }) => {
        const attempt = { ...body, address: callerAddress(context, NO_PROXIES) }
        return enter(context, async () => sessions.open(await users.signIn(attempt)), 'auth.sign_in')
      },
    }),
    route('POST /api/auth/refresh', {
      role: 'open',
      summary: 'Renews the tokens of a session.',
      body: z.object({ refresh_token: z.string() }),
      maxBytes: MAX_PROOF_BYTES,
      reply: sessionTokens,
      errors: ['unauthorized'],
      handle: ({ context, body }) => enter(context, async () => sessions.refresh(body.refresh_token), 'auth.refresh'),
    }),
    route('POST /api/auth/tab', {
      role: 'viewer',
      summary: 'Opens another session of the same person, for a second tab of the browser.',
      reply: sessionTokens,
      errors: ['conflict'],
      handle: ({ context, identity }) =>
        enter(
          context,
          async () => sessions.openBeside(identity.role === 'agent' ? '' : identity.session),
          'auth.new_tab',
        ),
    }),
    route('POST /api/auth/logout', {
      role: 'viewer',
      action: 'auth.sign_out',
      summary: 'Ends the current session.',
      reply: null,
      handle: ({ identity }) => {
        if (identity.role !== 'agent') sessions.end(identity.session)
      },
    }),
    route('GET /api/auth/me', {
      role: 'any',
      summary: 'Returns the identity of the caller.',
      reply: () => z.object({ role: z.enum(['admin', 'viewer', 'agent']), name: z.string() }),
      handle: ({ identity: { role, name } }) => ({ role, name }),
    }),
    route('POST /api/auth/code', {
      role: 'admin',
      action: 'auth.invite',
      summary: 'Creates a one-time code for a sign-in link.',
      reply: () => z.object({ code: z.string().describe('For POST /api/auth/exchange, once.') }),
      handle: () => ({ code: sessions.newCode() }),
    }),
    route('POST /api/auth/ws-ticket', {
      role: 'viewer',
      summary: 'Creates a ticket for the WebSocket.',
      reply: () => z.object({ ticket: z.string().describe('For GET /ws, once, within 30 s.') }),
      handle: ({ identity }) => {
        if (identity.role === 'agent') throw new CageError('forbidden', 'an agent has no dashboard')
        return { ticket: sessions.newTicket(identity.session) }
      },
    }),
  ]
}
