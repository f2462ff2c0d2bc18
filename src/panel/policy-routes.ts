/** The policy of an organization, which runtimes merge into their configuration. */
import * as z from 'zod'
import { count, named, type Route, type Shape, time } from '../api/route.ts'
import { isoTime } from '../clock.ts'
import { policySchema } from '../config/policy.ts'
import type { PanelRole } from './credentials.ts'
import type { PolicyView } from './fleet-view.ts'
import { panelRoutesOf } from './panel-route.ts'
import { type StoredPolicy, settingsOf } from './policies.ts'
import type { PanelRooms } from './rooms.ts'

const fleetRoute = panelRoutesOf('Fleet')

const policyView = named('Policy', () =>
  z.object({
    revision: count().describe('Grows with each change; 0 for none yet.'),
    settings: z
      .record(z.string(), z.unknown())
      .nullable()
      .describe('By section, as in a configuration file; null for no policy.'),
    updated_at: time().nullable(),
    updated_by: z.string().nullable(),
  } satisfies Shape<PolicyView>),
)

export const policyRoutes = ({ policies }: PanelRooms): Route<PanelRole>[] => [
  fleetRoute('GET /api/fleet/policy', {
    role: 'viewer',
    summary: 'Returns the policy of the organization.',
    reply: () => policyView(),
    handle: async ({ identity }) => viewOf(await policies.find(identity.organizationId)),
  }),
  fleetRoute('PUT /api/fleet/policy', {
    role: 'admin',
    summary:
      'Replaces the policy, which every runtime merges into its configuration; docs/production.md lists what it may set.',
    body: z.strictObject({ settings: policySchema.nullable().describe('Null for no policy.') }),
    reply: () => policyView(),
    handle: async ({ body: { settings }, identity }) => viewOf(await policies.set(identity, settings)),
  }),
]

const viewOf = (row: StoredPolicy | undefined): PolicyView =>
  row
    ? {
        ...{ revision: row.revision, settings: settingsOf(row) },
        ...{ updated_at: isoTime(row.updated_at), updated_by: row.updated_by },
      }
    : { revision: 0, settings: null, updated_at: null, updated_by: null }
