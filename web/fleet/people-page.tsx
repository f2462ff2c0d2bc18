/** People of the organization, and its tokens, for admins. */
import { TokensPanel } from '../settings/tokens.tsx'
import { UsersPanel } from '../settings/users.tsx'

export const PeoplePage = () => (
  <main class="stack">
    <UsersPanel />
    <TokensPanel agentHelp="one machine joins with it" budgetHelp="the organization's only" />
  </main>
)
