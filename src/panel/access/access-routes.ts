/** Sessions, people and tokens of an organization, by the same routes as those of a server, so that the same commands and pages use them. */

import type { BlockList } from 'node:net'
import * as z from 'zod'
import type { ApiToken } from '../../access/api-tokens.ts'
import { isoTime, systemClock } from '../../core/clock.ts'
import { CageError } from '../../core/errors.ts'
import { check } from '../../http/body.ts'
import { callerAddress } from '../../http/caller-address.ts'
import type { Route } from '../../http/route.ts'
import {
  MAX_PROOF_BYTES,
  NEW_TOKEN,
  NEW_USER,
  newTokenView,
  sessionTokens,
  tokenView,
  USER_CHANGE,
  userView,
} from '../../http/shared-shapes.ts'
import type { Fleet } from '../bank/budgets.ts'
import { nameFor } from '../fleet-routes.ts'
import { ORGANIZATION } from '../organization.ts'
import { panelRoutesOf } from '../panel-route.ts'
import type { PanelRole, PersonRole, StoredCredential } from './credentials.ts'
import type { StoredPerson } from './people.ts'

const route = panelRoutesOf('Panel')

export const accessRoutes = (parts: { fleet: Fleet; trustedProxies: BlockList }): Route<PanelRole>[] => [
  ...sessionRoutes(parts),
  ...peopleRoutes(parts),
  ...tokenRoutes(parts),
]

const sessionRoutes = ({
  fleet: { credentials, people },
  trustedProxies,
}: {
  fleet: Fleet
  trustedProxies: BlockList
}): Route<PanelRole>[] => [
  route('POST /api/auth/exchange', {
    role: 'open',
    summary: 'Opens a session with a one-time code from a sign-in link.',
    body: z.strictObject({ code: z.string().max(100) }),
    maxBytes: MAX_PROOF_BYTES,
    reply: sessionTokens,
    errors: ['unauthorized'],
    handle: ({ body }) => credentials.exchange(body.code),
  }),
  route('POST /api/auth/login', {
    role: 'open',
    summary: 'Opens a session with user name and password; a user of another organization is "organization/name".',
    body: z.strictObject({ username: z.string().max(200), password: z.string().max(1024) }),
    maxBytes: MAX_PROOF_BYTES,
    reply: sessionTokens,
    errors: ['unauthorized', 'too_many_attempts'],
    handle: async ({ context, body }) => {
      const address = callerAddress(context, trustedProxies)
      const person = await people.signIn({ ...body, address }, ORGANIZATION)
      return credentials.openSession(sessionOf(person), (sql) => people.requireUnchanged(sql, person))
    },
  }),
  route('POST /api/auth/refresh', {
    role: 'open',
    summary: 'Renews a session. A token works once.',
    body: z.strictObject({ refresh_token: z.string().max(100) }),
    maxBytes: MAX_PROOF_BYTES,
    reply: sessionTokens,
    errors: ['unauthorized'],
    handle: ({ body }) => credentials.refresh(body.refresh_token),
  }),
  route('POST /api/auth/tab', {
    role: 'viewer',
    summary: 'Opens another session of the same person, for a second tab of the browser.',
    reply: sessionTokens,
    handle: ({ identity }) =>
      credentials.openSession({ ...identity, role: identity.role as PersonRole }, (sql) =>
        people.requireAlive(sql, identity),
      ),
  }),
  route('POST /api/auth/logout', {
    role: 'viewer',
    summary: 'Ends the session or token of the caller, on every process of the panel.',
    reply: null,
    handle: ({ identity }) => credentials.revoke(identity.organizationId, identity.id, identity.name),
  }),
  route('GET /api/auth/me', {
    role: 'viewer',
    summary: 'Returns the identity of the caller.',
    reply: () => z.object({ role: z.enum(['admin', 'viewer']), name: z.string() }),
    handle: ({ identity: { role, name } }) => ({ role: role as PersonRole, name }),
  }),
]

export const sessionOf = ({ id: userId, organization_id: organizationId, role, username: name }: StoredPerson) => {
  return { userId, organizationId, role, name }
}

const email = z.email().max(200).nullable().optional()

/** Without a password, people sign in at the identity provider, which knows them by their address. */
const NEW_PERSON = NEW_USER.extend({ password: NEW_USER.shape.password.optional(), email }).refine(
  ({ password, email }) => password !== undefined || typeof email === 'string',
  { error: 'expected a password, or the e-mail address of a user who signs in at the identity provider' },
)
const PERSON_CHANGE = z
  .strictObject({ ...USER_CHANGE.shape, email })
  .refine((change) => Object.keys(change).length > 0, { error: 'expected a role, a password or an e-mail address' })

const personView = () => userView().extend({ email: z.string().nullable() })

/** `:id` may also be the name. */
const peopleRoutes = ({ fleet: { people } }: { fleet: Fleet }): Route<PanelRole>[] => [
  route('GET /api/users', {
    role: 'admin',
    summary: 'Lists users.',
    reply: () => z.object({ users: z.array(personView()) }),
    handle: async ({ identity }) => ({ users: (await people.list(identity.organizationId)).map(shown) }),
  }),
  route('POST /api/users', {
    role: 'admin',
    summary: 'Creates a user.',
    body: NEW_PERSON,
    reply: personView,
    statuses: [201],
    errors: ['conflict', 'too_many_attempts'],
    handle: async ({ body, identity }) => shown(await people.add(identity, body)),
  }),
  route('PATCH /api/users/:id', {
    role: 'admin',
    summary: "Changes a user's role, password or e-mail address, and ends the user's sessions and tokens.",
    body: PERSON_CHANGE,
    reply: personView,
    errors: ['not_found', 'conflict', 'too_many_attempts'],
    handle: async ({ params, body, identity }) => shown(await people.change(identity, params.id, body)),
  }),
  route('DELETE /api/users/:id', {
    role: 'admin',
    summary: 'Deletes a user, and ends the sessions and tokens of that user.',
    reply: null,
    errors: ['not_found'],
    handle: ({ params, identity }) => people.remove(identity, params.id),
  }),
]

const shown = ({ id, username, role, email, created_at, password_changed_at }: StoredPerson) => {
  const times = { created_at: isoTime(created_at), password_changed_at: isoTime(password_changed_at) }
  return { id, username, role, email, ...times }
}

const tokenRoutes = ({ fleet }: { fleet: Fleet }): Route<PanelRole>[] => [
  route('GET /api/tokens', {
    role: 'admin',
    summary: 'Lists tokens of people that still work, and invitations that wait (role agent), without their values.',
    reply: () => z.object({ tokens: z.array(tokenView()) }),
    handle: async ({ identity }) => {
      const credentials = await fleet.credentials.list(identity.organizationId)
      return { tokens: credentials.filter(({ kind }) => kind !== 'session').map(tokenOf) }
    },
  }),
  route('POST /api/tokens', {
    role: 'admin',
    summary:
      'Creates a token, which ends with the user who created it. With the role agent it is an invitation, with which one runtime joins; with budget_usd, the calls of that runtime must also fit into a new budget of the token.',
    body: NEW_TOKEN,
    reply: newTokenView,
    statuses: [201],
    errors: ['conflict', 'invalid_amount'],
    handle: async ({ body, identity }) => {
      const { name, role, budget_usd: limit, expires_in_s: expiresInS } = body
      const { organizationId, name: by, userId = null } = identity
      const created = { name, agent_id: null, created_at: isoTime(systemClock.now()), revoked_at: null, created_by: by }
      const lifeMs = expiresInS === undefined ? null : expiresInS * 1000
      if (role === 'agent') {
        const token = limit === undefined ? null : check(nameFor('token'), name, 'name')
        if (token !== null && limit !== undefined) {
          const { budgets } = await fleet.read(organizationId)
          if (budgets.some((budget) => budget.scope === 'token' && budget.name === token)) {
            throw new CageError('conflict', `the token "${token}" already has a budget`, {
              hint: `choose another name, or change that budget with "iron-cage budget set --token ${token} <usd>"`,
            })
          }
          await fleet.setLimit(organizationId, { scope: 'token', name: token }, { limit }, by)
        }
        const whose = { team: null, user: null, token }
        const { id, value } = await fleet.credentials.issueInvitation(organizationId, whose, name, by)
        return { ...created, id, role, token: value, expires_at: null }
      }
      if (limit !== undefined) {
        throw new CageError('bad_request', 'budget_usd: only a token of the role agent has a budget')
      }
      const { id, value } = await fleet.credentials.issueToken(
        { organizationId, role, name, by, userId, lifeMs },
        (sql) => fleet.people.requireAlive(sql, identity),
      )
      const expires_at = lifeMs === null ? null : isoTime(systemClock.now() + lifeMs)
      return { ...created, id, role, token: value, expires_at }
    },
  }),
  route('DELETE /api/tokens/:id', {
    role: 'admin',
    summary: 'Revokes a token, on every process of the panel.',
    reply: null,
    errors: ['not_found'],
    handle: ({ params, identity }) => fleet.credentials.revoke(identity.organizationId, params.id, identity.name),
  }),
]

const tokenOf = ({ id, kind, name, role: given, created_at, expires_at, created_by }: StoredCredential): ApiToken => ({
  ...{
    id,
    name,
    role: kind === 'invitation' ? 'agent' : (given as PersonRole),
    agent_id: null,
    revoked_at: null,
    created_by: created_by ?? 'unknown',
  },
  created_at: isoTime(created_at),
  expires_at: expires_at === null ? null : isoTime(expires_at),
})
