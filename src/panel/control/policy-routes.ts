/** The policy of an organization, which runtimes merge into their configuration. */

import * as z from 'zod'
import { ENVIRONMENTS } from '../../config/environments.ts'
import { isEmptyPolicy, policySchema } from '../../config/policy.ts'
import { isoTime } from '../../core/clock.ts'
import { count, named, type Route, type Shape, time } from '../../http/route.ts'
import type { PanelRole } from '../access/credentials.ts'
import type { PolicyView } from '../fleet-view.ts'
import { panelRoutesOf } from '../panel-route.ts'
import type { Policies } from './policies.ts'
import { environmentsIn, type StoredPolicy, settingsOf } from './policies.ts'

const fleetRoute = panelRoutesOf('Fleet')

export const policySettings = () => z.record(z.string(), z.unknown())

const policyView = named('Policy', () =>
  z.object({
    revision: count().describe('Grows with each change; 0 for none yet.'),
    settings: policySettings().nullable().describe('By section, as in a configuration file; null for no policy.'),
    environments: z
      .record(z.string(), policySettings())
      .describe('What holds in addition, by environment, on the runtimes that may have its secrets.'),
    updated_at: time().nullable(),
    updated_by: z.string().nullable(),
  } satisfies Shape<PolicyView>),
)

export const policyRoutes = ({ policies }: { policies: Policies }): Route<PanelRole>[] => [
  fleetRoute('GET /api/fleet/policy', {
    role: 'viewer',
    summary: 'Returns the policy of the organization.',
    reply: () => policyView(),
    handle: async ({ identity }) => viewOf(await policies.find(identity.organizationId)),
  }),
  fleetRoute('PUT /api/fleet/policy', {
    role: 'admin',
    summary:
      'Replaces the policy of all runtimes or of an environment, which they merge into their configuration; docs/production.md lists what it may set.',
    body: z.strictObject({
      settings: policySchema
        .refine((policy) => !isEmptyPolicy(policy), { error: 'expected at least one setting, or null for no policy' })
        .nullable()
        .describe('Null for no policy.'),
      environment: z
        .enum(ENVIRONMENTS)
        .nullable()
        .default(null)
        .describe('For the runtimes that may have the secrets of this environment; null for all.'),
    }),
    reply: () => policyView(),
    handle: async ({ body, identity }) => viewOf(await policies.set(identity, body.settings, body.environment)),
  }),
]

const viewOf = (row: StoredPolicy | undefined): PolicyView =>
  row
    ? {
        ...{ revision: row.revision, settings: settingsOf(row), environments: environmentsIn(row) },
        ...{ updated_at: isoTime(row.updated_at), updated_by: row.updated_by },
      }
    : { revision: 0, settings: null, environments: {}, updated_at: null, updated_by: null }
