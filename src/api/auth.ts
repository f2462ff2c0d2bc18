import { Hono } from 'hono'
import * as z from 'zod'
import type { Sessions } from '../access/sessions.ts'
import { CageError } from '../errors.ts'
import { readJson } from './body.ts'
import type { Env, Guard } from './guard.ts'

/** Sessions: the one-time code of the terminal's link, refreshing, leaving, tickets for the WebSocket. */
export function authRoutes(sessions: Sessions, guard: Guard): Hono<Env> {
  return new Hono<Env>()
    .post('/exchange', async (context) => {
      const { code } = await readJson(context, z.object({ code: z.string() }))
      return context.json(await sessions.exchange(code))
    })
    .post('/refresh', async (context) => {
      const { refresh_token } = await readJson(context, z.object({ refresh_token: z.string() }))
      return context.json(await sessions.refresh(refresh_token))
    })
    .post('/logout', guard('viewer'), (context) => {
      const identity = context.get('identity')
      if (identity.role !== 'agent') sessions.end(identity.session)
      return context.body(null, 204)
    })
    .get('/me', guard('any'), (context) => {
      const { role, name } = context.get('identity')
      return context.json({ role, name })
    })
    .post('/code', guard('admin'), (context) => context.json({ code: sessions.newCode() }))
    .post('/ws-ticket', guard('viewer'), (context) => {
      const identity = context.get('identity')
      if (identity.role === 'agent') throw new CageError('forbidden', 'an agent has no dashboard')
      return context.json({ ticket: sessions.newTicket(identity.session) })
    })
}
