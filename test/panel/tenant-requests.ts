/** For each route that takes something: a request that it accepts from the organization whose things it names. */
import type { Caller, Tenant } from './tenant.ts'
import { AGENT } from './tenant.ts'

export interface TenantRequest {
  params?: Readonly<Record<string, string>>
  query?: Readonly<Record<string, string>>
  body?: object
}

/** The senders within the organization, each for another reason; other routes are open to their whole role. */
export const SENDERS: Readonly<Record<string, readonly Caller[]>> = {
  'POST /api/fleet/requests/:id/approve': ['an admin', 'the lead of a team'],
  'POST /api/fleet/requests/:id/reject': ['an admin', 'the lead of a team'],
}

const STATEMENT = { used_usd: '0', returned_usd: '0.1', held_usd: '0', final: true }
const decision = ({ ids }: Tenant): TenantRequest => ({
  ...{ params: { id: ids.request }, body: { reason: 'mine' } },
})
const limitOf =
  (scope: 'team' | 'user' | 'agent' | 'token') =>
  ({ names }: Tenant): TenantRequest => ({ params: { name: names[scope] }, body: { limit_usd: '60' } })

/** `about`: whose things it names. `by`: whose caller sends it. */
type RequestOf = (about: Tenant, by: Tenant) => TenantRequest | Promise<TenantRequest>

export const TENANT_REQUESTS: Readonly<Record<string, RequestOf>> = {
  'GET /api/schemas/:name': () => ({ params: { name: 'event' } }),
  'POST /api/auth/exchange': async (about) => ({ body: { code: await about.code() } }),
  'POST /api/auth/login': ({ name, names, password }) => ({ body: { username: `${name}/${names.user}`, password } }),
  'POST /api/auth/refresh': async (about) => ({ body: { refresh_token: await about.token('a user') } }),
  'POST /api/auth/oidc/start': ({ name }) => ({ body: { organization: name } }),
  'POST /api/auth/oidc/finish': () => ({ body: { secret: 'code_none', answer: 'state=none' } }),
  'POST /api/users': ({ names }) => ({ body: { username: `${names.user}-2`, password: 'a long password' } }),
  'PATCH /api/users/:id': ({ ids }) => ({ params: { id: ids.user }, body: { role: 'admin' } }),
  'DELETE /api/users/:id': ({ ids }) => ({ params: { id: ids.user } }),
  'POST /api/tokens': ({ names }) => ({ body: { role: 'viewer', name: names.token } }),
  'DELETE /api/tokens/:id': ({ ids }) => ({ params: { id: ids.token } }),
  'DELETE /api/fleet/credentials/:id': ({ ids }) => ({ params: { id: ids.session } }),
  'PUT /api/fleet/teams/:name/members/:id': ({ ids, names }) => ({
    ...{ params: { name: names.team, id: ids.user }, body: { role: 'lead' } },
  }),
  'DELETE /api/fleet/teams/:name/members/:id': ({ ids, names }) => ({ params: { name: names.team, id: ids.user } }),
  'POST /api/runtimes/join': () => ({ body: { name: 'laptop', version: '1' } }),
  'POST /api/leases/open': ({ journal }) => ({ body: { journal_id: journal, generation: 0 } }),
  'POST /api/leases/present': ({ ids, signed }) => ({
    body: { leases: [{ id: ids.lease, ...STATEMENT, signed }] },
  }),
  'POST /api/leases/request': async ({ names: { agent, token } }, by) => ({
    body: { epoch: await by.openEpoch(), request: 0, least_usd: '0.1', want_usd: '0.1', agent, token },
  }),
  'POST /api/leases/report': async ({ ids }, by) => ({
    body: { epoch: await by.openEpoch(), statements: [{ id: ids.lease, ...STATEMENT }] },
  }),
  'POST /api/telemetry': ({ journal }) => ({
    body: { journal_id: journal, after: 3, through: 4, lost: null, events: [] },
  }),
  'PATCH /api/fleet/budgets/organization': () => ({ body: { limit_usd: '60' } }),
  'PATCH /api/fleet/budgets/team/:name': limitOf('team'),
  'PATCH /api/fleet/budgets/user/:name': limitOf('user'),
  'PATCH /api/fleet/budgets/agent/:name': limitOf('agent'),
  'PATCH /api/fleet/budgets/token/:name': limitOf('token'),
  'PATCH /api/fleet/cover': () => ({ body: { cover_s: 60 } }),
  'POST /api/fleet/invitations': ({ names: { team, user } }) => ({ body: { team, user } }),
  'DELETE /api/fleet/runtimes/:id': ({ ids }) => ({ params: { id: ids.machine } }),
  'POST /api/fleet/leases/:id/resolve': ({ ids }) => ({
    ...{ params: { id: ids.lostLease }, body: { spent_usd: '0', reason: 'mine' } },
  }),
  'POST /api/fleet/requests': ({ names }) => ({
    body: { scope: 'team', name: names.team, add_usd: '1', reason: 'mine' },
  }),
  'POST /api/fleet/requests/:id/approve': decision,
  'POST /api/fleet/requests/:id/reject': decision,
  'GET /api/fleet/spending': () => ({ query: { days: '366', by: 'team' } }),
  'GET /api/fleet/incidents': () => ({ query: { before: '2027-01-01T00:00:00.000Z' } }),
  'POST /api/alerts/:id/resend': ({ ids }) => ({ params: { id: ids.alert } }),
  'POST /api/fleet/webhooks': () => ({ body: { url: 'http://127.0.0.1:9/', events: ['sign_in.failed'] } }),
  'DELETE /api/fleet/webhooks/:id': ({ ids }) => ({ params: { id: ids.webhook } }),
  'GET /api/audit': () => ({ query: { after: '0' } }),
  'POST /api/fleet/runtimes/:id/orders': ({ ids }) => ({
    ...{ params: { id: ids.machine }, body: { agent_id: AGENT, action: 'pause' } },
  }),
  'GET /api/control': () => ({ query: { known: 'another' } }),
  'POST /api/control/orders/:id': ({ ids }) => ({ params: { id: ids.order }, body: { ok: true, message: 'mine' } }),
  'POST /api/control/requests': ({ names: { agent, token } }) => ({
    body: { agent, token, add_usd: '1', reason: 'mine' },
  }),
  'GET /api/control/requests/:id': async (about) => ({
    ...{ params: { id: await about.askAgain() }, query: { agent: about.names.agent } },
  }),
  'PUT /api/fleet/secrets': ({ names }) => ({ body: { name: 'OTHER_KEY', agent: names.agent, value: 'sk-of-mine' } }),
  'DELETE /api/fleet/secrets/:id': ({ ids }) => ({ params: { id: ids.secret } }),
  'PUT /api/fleet/runtimes/:id/environments': ({ ids }) => ({
    ...{ params: { id: ids.machine }, body: { environments: ['staging'] } },
  }),
  'POST /api/control/secrets': ({ names }) => ({ body: { environment: 'production', agent: names.agent } }),
  'PUT /api/fleet/policy': () => ({ body: { settings: { safety: { mode: 'redact' } } } }),
  'POST /api/erasures': ({ names }) => ({ body: { words: [names.token] } }),
}
