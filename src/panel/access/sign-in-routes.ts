/** Signing in at an identity provider, which sends the browser back to the page of the panel. */

import type { BlockList } from 'node:net'
import * as z from 'zod'
import { CageError } from '../../core/errors.ts'
import { callerAddress } from '../../http/caller-address.ts'
import type { Route } from '../../http/route.ts'
import { MAX_PROOF_BYTES, sessionTokens } from '../../http/shared-shapes.ts'
import type { Fleet } from '../bank/budgets.ts'
import { ORGANIZATION } from '../organization.ts'
import { panelRoutesOf } from '../panel-route.ts'
import { sessionOf } from './access-routes.ts'
import type { PanelRole } from './credentials.ts'
import { isPrivate } from './identity-provider.ts'
import type { ProviderSignIns } from './provider-sign-ins.ts'

const route = panelRoutesOf('Panel')

export const signInRoutes = ({
  fleet: { credentials, people },
  providerSignIns,
  trustedProxies,
}: {
  fleet: Fleet
  providerSignIns: ProviderSignIns
  trustedProxies: BlockList
}): Route<PanelRole>[] => [
  route('GET /api/auth/oidc', {
    role: 'open',
    summary: 'Returns the host of the identity provider; null without one.',
    reply: () => z.object({ name: z.string().nullable() }),
    handle: () => ({ name: providerSignIns.name }),
  }),
  route('POST /api/auth/oidc/start', {
    role: 'open',
    summary:
      'Begins a sign-in at the identity provider, for the page that sends this: the browser comes back to it within ten minutes.',
    body: z.strictObject({ organization: z.string().max(80).default(ORGANIZATION) }),
    maxBytes: MAX_PROOF_BYTES,
    reply: () =>
      z.object({
        url: z.string().describe('Where to sign in.'),
        secret: z.string().describe('For the end of this sign-in, in the same browser.'),
      }),
    errors: ['not_found', 'forbidden', 'too_many_attempts', 'identity_provider_unreachable'],
    handle: ({ context, body: { organization } }) => {
      const address = callerAddress(context, trustedProxies)
      return providerSignIns.begin({ organization, redirectUri: redirectUriOf(context.req.header('origin')), address })
    },
  }),
  route('POST /api/auth/oidc/finish', {
    role: 'open',
    summary: 'Opens a session with the query with which the browser came back from the identity provider.',
    body: z.strictObject({ secret: z.string().max(100), answer: z.string().max(4_096) }),
    maxBytes: MAX_PROOF_BYTES,
    reply: sessionTokens,
    errors: ['unauthorized', 'forbidden', 'not_found', 'identity_provider_unreachable'],
    handle: async ({ body }) => {
      const person = await providerSignIns.finish(body)
      return credentials.openSession(sessionOf(person), (sql) => people.requireUnchanged(sql, person))
    },
  }),
]

/** `origin`: one of the panel's own, as the guard of origins has checked. */
function redirectUriOf(origin: string | undefined): string {
  if (origin === undefined) throw new CageError('forbidden', 'only the page of the panel can begin a sign-in')
  if (isPrivate(origin)) return `${origin}/`
  throw new CageError('forbidden', 'the identity provider must send people back over https', {
    hint: 'put TLS in front of the panel',
  })
}
