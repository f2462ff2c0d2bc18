/** People of the organization with their teams, and its tokens, for admins. */
import type { TeamsView } from '../../src/panel/fleet-view.ts'
import { Fault } from '../parts/parts.tsx'
import { useLoaded } from '../parts/use-loaded.ts'
import { TokensPanel } from '../settings/tokens.tsx'
import { UsersPanel } from '../settings/users.tsx'
import { UserTeams } from './user-teams.tsx'

export function PeoplePage() {
  const { value } = useLoaded<{ name: string | null }>('/api/auth/oidc')
  const teams = useLoaded<TeamsView>('/api/fleet/teams')
  const view = teams.value.value
  return (
    <main class="stack">
      <Fault text={teams.fault.value} />
      <UsersPanel
        provider={value.value?.name}
        about={view && (({ username }) => <UserTeams username={username} view={view} onChanged={teams.reload} />)}
      />
      <TokensPanel agentHelp="one machine joins with it" budgetHelp="the organization's only" />
    </main>
  )
}
