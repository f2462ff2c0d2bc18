import { getConnInfo } from '@hono/node-server/conninfo'
import { type Context, Hono } from 'hono'
import * as z from 'zod'
import type { SessionTokens } from '../access/sessions.ts'
import { asCageError, CageError } from '../errors.ts'
import { readJson } from './body.ts'
import type { Env, Guard } from './guard.ts'
import type { Refusals } from './refusals.ts'
import type { Rooms } from './rooms.ts'

/** Routes without authentication. */
const MAX_PROOF_BYTES = 8_192

/**
 * Sessions: by the one-time code of the terminal's link, or by name and password; refresh, logout, tickets for the
 * WebSocket. The audit records sign-ins and failed attempts.
 */
export function authRoutes(
  { access: { sessions, users }, audit, refusals }: Pick<Rooms, 'access' | 'audit'> & { refusals: Refusals },
  guard: Guard,
): Hono<Env> {
  const recordFailure = (context: Context, error: unknown): never => {
    const { message: reason } = asCageError(error)
    refusals.record({ message: reason, reason, route: `${context.req.method} ${context.req.routePath}` })
    throw error
  }
  const enter = async (context: Context, attempt: () => Promise<SessionTokens>, action: string) => {
    const tokens = await attempt().catch((error: unknown) => recordFailure(context, error))
    // Without this row the tokens are not handed out.
    audit.append({ role: tokens.role, actor: tokens.name, action })
    return context.json(tokens)
  }
  return new Hono<Env>()
    .post('/exchange', async (context) => {
      const { code } = await readJson(context, EXCHANGE, MAX_PROOF_BYTES)
      return enter(context, async () => sessions.exchange(code), 'auth.sign_in')
    })
    .post('/login', async (context) => {
      const { username, password } = await readJson(context, LOGIN, MAX_PROOF_BYTES)
      const attempt = { username, password, address: getConnInfo(context).remote.address ?? 'unknown' }
      return enter(context, async () => sessions.open(await users.signIn(attempt)), 'auth.sign_in')
    })
    .post('/refresh', async (context) => {
      const { refresh_token } = await readJson(context, REFRESH, MAX_PROOF_BYTES)
      return enter(context, async () => sessions.refresh(refresh_token), 'auth.refresh')
    })
    .post('/logout', guard('viewer', 'auth.sign_out'), (context) => {
      const identity = context.get('identity')
      if (identity.role !== 'agent') sessions.end(identity.session)
      return context.body(null, 204)
    })
    .get('/me', guard('any'), (context) => {
      const { role, name } = context.get('identity')
      return context.json({ role, name })
    })
    .post('/code', guard('admin', 'auth.invite'), (context) => context.json({ code: sessions.newCode() }))
    .post('/ws-ticket', guard('viewer'), (context) => {
      const identity = context.get('identity')
      if (identity.role === 'agent') throw new CageError('forbidden', 'an agent has no dashboard')
      return context.json({ ticket: sessions.newTicket(identity.session) })
    })
}

export const EXCHANGE = z.object({ code: z.string() })
export const REFRESH = z.object({ refresh_token: z.string() })
/** No valid one is longer, and longer ones would cost time to check. */
export const LOGIN = z.object({ username: z.string().max(200), password: z.string().max(1024) })
