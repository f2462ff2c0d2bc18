/** For admins: which of the issued credentials still work. */

import * as z from 'zod'
import { isoTime } from '../../core/clock.ts'
import { named, type Route, type Shape, time } from '../../http/route.ts'
import type { Fleet } from '../bank/budgets.ts'
import { panelRoutesOf } from '../panel-route.ts'
import type { PanelRole, StoredCredential } from './credentials.ts'

const credentialRoute = panelRoutesOf('Panel')

const credentialView = named('PanelCredential', () =>
  z.object({
    id: z.string(),
    kind: z.enum(['token', 'session', 'invitation']),
    role: z.enum(['admin', 'viewer', 'runtime']),
    name: z.string(),
    created_at: time(),
    expires_at: time().nullable(),
    created_by: z.string().nullable(),
  } satisfies Shape<StoredCredential>),
)

export const credentialRoutes = ({ fleet: { credentials } }: { fleet: Fleet }): Route<PanelRole>[] => [
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
  credentialRoute('DELETE /api/fleet/credentials/:id', {
    role: 'admin',
    summary: 'Ends a token, session or invitation, on every process of the panel.',
    reply: null,
    errors: ['not_found'],
    handle: ({ params, identity }) => credentials.revoke(identity.organizationId, params.id, identity.name),
  }),
]
