/** For people: how they sign in and out, and what still works of what was handed out. */
import * as z from 'zod'
import { count, named, type Route, routesOf, type Shape, time } from '../api/route.ts'
import { isoTime } from '../clock.ts'
import type { Member, PanelRole, StoredCredential } from './credentials.ts'
import type { PanelRooms } from './rooms.ts'

const credentialRoute = routesOf<Member, PanelRole>('Panel')

const credentialView = named('PanelCredential', () =>
  z.object({
    id: z.string(),
    kind: z.enum(['token', 'session', 'invitation']),
    role: z.enum(['admin', 'viewer', 'runtime']),
    name: z.string(),
    created_at: time(),
    expires_at: time().nullable(),
  } satisfies Shape<StoredCredential>),
)

export const credentialRoutes = ({ fleet: { credentials } }: PanelRooms): Route<PanelRole>[] => [
  credentialRoute('POST /api/auth/exchange', {
    role: 'open',
    summary: 'Exchanges the code of a link for a session.',
    body: z.strictObject({ code: z.string().max(100) }),
    reply: () =>
      z.object({ token: z.string(), role: z.enum(['admin', 'viewer']), expires_in: count().describe('Seconds.') }),
    errors: ['unauthorized'],
    handle: ({ body }) => credentials.exchange(body.code),
  }),
  credentialRoute('DELETE /api/auth/session', {
    role: 'viewer',
    summary: 'Ends the session or token of the caller, on every process of the panel.',
    reply: null,
    handle: ({ identity }) => credentials.revoke(identity.organizationId, identity.id, identity.name),
  }),
  credentialRoute('GET /api/fleet/credentials', {
    role: 'admin',
    summary: 'Lists the tokens, sessions and invitations that still work, newest first, without their values.',
    reply: () => z.object({ credentials: z.array(credentialView()) }),
    handle: async ({ identity }) => ({
      credentials: (await credentials.list(identity.organizationId)).map(({ created_at, expires_at, ...rest }) => ({
        ...rest,
        created_at: isoTime(created_at),
        expires_at: expires_at === null ? null : isoTime(expires_at),
      })),
    }),
  }),
  credentialRoute('POST /api/fleet/credentials', {
    role: 'admin',
    summary: 'Creates a token of a person.',
    body: z.strictObject({ role: z.enum(['admin', 'viewer']), name: z.string().min(1).max(80) }),
    reply: () => z.object({ token: z.string().describe('Its value, returned only here.') }),
    statuses: [201],
    handle: async ({ body: { role, name }, identity }) => ({
      token: await credentials.createToken(identity.organizationId, role, name, identity.name),
    }),
  }),
  credentialRoute('DELETE /api/fleet/credentials/:id', {
    role: 'admin',
    summary: 'Ends a token, session or invitation, on every process of the panel.',
    reply: null,
    errors: ['not_found'],
    handle: ({ params, identity }) => credentials.revoke(identity.organizationId, params.id, identity.name),
  }),
]
