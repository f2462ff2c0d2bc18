/** Who is in which team. */

import * as z from 'zod'
import { named, type Route, type Shape } from '../../http/route.ts'
import type { Fleet } from '../bank/budgets.ts'
import type { TeamMemberView, TeamsView } from '../fleet-view.ts'
import { panelRoutesOf } from '../panel-route.ts'
import type { PanelRole } from './credentials.ts'

const route = panelRoutesOf('Fleet')

const memberView = named('TeamMember', () =>
  z.object({
    team: z.string(),
    user_id: z.string(),
    username: z.string(),
    role: z.enum(['member', 'lead']),
  } satisfies Shape<TeamMemberView>),
)

export const teamRoutes = ({ fleet: { teams } }: { fleet: Fleet }): Route<PanelRole>[] => [
  route('GET /api/fleet/teams', {
    role: 'viewer',
    summary: 'Lists the teams and their people.',
    reply: () =>
      z.object({
        teams: z.array(z.string()).describe('Those with a budget.'),
        members: z.array(memberView()),
      } satisfies Shape<TeamsView>),
    handle: ({ identity }) => teams.list(identity.organizationId),
  }),
  route('PUT /api/fleet/teams/:name/members/:id', {
    role: 'admin',
    summary:
      'Puts a user into a team that has a budget. A lead decides on what its people ask for themselves. `:id` may also be the name.',
    body: z.strictObject({ role: z.enum(['member', 'lead']).default('member') }),
    reply: null,
    errors: ['not_found'],
    handle: ({ params, body, identity }) => teams.set(identity, params.name, params.id, body.role),
  }),
  route('DELETE /api/fleet/teams/:name/members/:id', {
    role: 'admin',
    summary: 'Removes a user from a team.',
    reply: null,
    errors: ['not_found'],
    handle: ({ params, identity }) => teams.set(identity, params.name, params.id, null),
  }),
]
