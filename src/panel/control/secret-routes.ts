/** Central secrets: what admins set, and what runtimes fetch. */

import * as z from 'zod'
import { ENVIRONMENTS } from '../../config/environments.ts'
import { isoTime } from '../../core/clock.ts'
import { count, named, type Route, type Shape, time } from '../../http/route.ts'
import type { CentralSecret } from '../../protocol/control-messages.ts'
import type { PanelRole } from '../access/credentials.ts'
import type { CentralSecretView } from '../fleet-view.ts'
import { panelRoutesOf } from '../panel-route.ts'
import type { PanelSecrets, StoredCentralSecret } from './secrets.ts'

const fleetRoute = panelRoutesOf('Fleet')
const controlRoute = panelRoutesOf('Control')

const environment = z.enum(ENVIRONMENTS)
const agentName = z.string().min(1).max(80)

const secretView = named('CentralSecret', () =>
  z.object({
    id: z.string(),
    name: z.string(),
    environment: z.string().nullable().describe('Null for every environment.'),
    agent: z.string().nullable().describe('The name of the agents that get it; null for all.'),
    masked: z.string().describe('First and last characters of the value.'),
    version: count(),
    created_at: time(),
    updated_at: time(),
    updated_by: z.string(),
  } satisfies Shape<CentralSecretView>),
)

export const centralSecretRoutes = ({ secrets }: { secrets: PanelSecrets }): Route<PanelRole>[] => [
  fleetRoute('GET /api/fleet/secrets', {
    role: 'viewer',
    summary: 'Lists the secrets of the organization, without their values.',
    reply: () => z.object({ secrets: z.array(secretView()) }),
    handle: async ({ identity }) => ({ secrets: (await secrets.list(identity.organizationId)).map(viewOf) }),
  }),
  fleetRoute('PUT /api/fleet/secrets', {
    role: 'admin',
    summary:
      'Sets a secret of the organization, of one environment, or of agents of one name. Runtimes that may have it get the new value at once.',
    body: z.strictObject({
      name: z.string(),
      environment: environment.nullable().default(null),
      agent: agentName.nullable().default(null),
      value: z.string(),
    }),
    reply: () => secretView(),
    errors: ['vault_locked', 'conflict'],
    handle: async ({ body: { value, ...place }, identity }) => viewOf(await secrets.set(identity, place, value)),
  }),
  fleetRoute('DELETE /api/fleet/secrets/:id', {
    role: 'admin',
    summary: 'Removes a secret. Agents that run keep it until they end.',
    reply: null,
    errors: ['not_found'],
    handle: ({ params, identity }) => secrets.remove(identity, params.id),
  }),
  fleetRoute('PUT /api/fleet/runtimes/:id/environments', {
    role: 'admin',
    summary: "Says which environments' secrets a runtime may have; none at first.",
    body: z.strictObject({ environments: z.array(environment).max(3) }),
    reply: null,
    errors: ['not_found'],
    handle: ({ params, body, identity }) => secrets.allow(identity, params.id, [...new Set(body.environments)].sort()),
  }),
  controlRoute('POST /api/control/secrets', {
    role: 'runtime',
    summary: 'Returns the secrets for the agents of an environment, and for those of one name; each fetch is audited.',
    body: z.strictObject({ environment, agent: agentName.nullable() }),
    reply: () =>
      z.object({
        secrets: z.array(
          z.object({
            ...{ name: z.string(), version: count(), value: z.string() },
            agent: z.string().nullable().describe('Null for every agent.'),
          } satisfies Shape<CentralSecret>),
        ),
      }),
    errors: ['forbidden', 'runtime_revoked', 'vault_locked', 'vault_broken'],
    handle: async ({ body, identity }) => ({ secrets: await secrets.fetch(identity, body) }),
  }),
]

const viewOf = (row: StoredCentralSecret): CentralSecretView => ({
  ...{ id: row.id, name: row.name, environment: row.environment || null, agent: row.agent || null },
  ...{ masked: row.masked, version: row.version, updated_by: row.updated_by },
  ...{ created_at: isoTime(row.created_at), updated_at: isoTime(row.updated_at) },
})
