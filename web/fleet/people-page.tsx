/** People of the organization, and its tokens, for admins. */
import { useLoaded } from '../parts/use-loaded.ts'
import { TokensPanel } from '../settings/tokens.tsx'
import { UsersPanel } from '../settings/users.tsx'

export function PeoplePage() {
  const { value } = useLoaded<{ name: string | null }>('/api/auth/oidc')
  return (
    <main class="stack">
      <UsersPanel provider={value.value?.name} />
      <TokensPanel agentHelp="one machine joins with it" budgetHelp="the organization's only" />
    </main>
  )
}
