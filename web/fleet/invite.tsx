/** Inviting a machine: a token with which it joins, and the command that does it. */
import { signal } from '@preact/signals'
import type { SharedBudgetView } from '../../src/panel/fleet-view.ts'
import { Dialog } from '../parts/dialog.tsx'
import { isAdmin, send } from '../session.ts'

const isInviting = signal(false)
/** The last token of this page. */
const token = signal<string | null>(null)

/** Nothing for viewers. */
export const InviteButton = () =>
  isAdmin.value && (
    <button type="button" class="btn" onClick={() => (isInviting.value = true)}>
      + Invite a machine
    </button>
  )

/** What to type on the invited machine. */
export const Invitation = () =>
  token.value && (
    <div role="status">
      <p>On that machine, once within a week, in the folder where its agents are started. It is not shown again:</p>
      <pre class="command">
        iron-cage join {location.origin} --token {token.value}
      </pre>
    </div>
  )

export function InviteDialog({ budgets }: { budgets: readonly SharedBudgetView[] }) {
  if (!isInviting.value) return null
  const close = () => (isInviting.value = false)
  const act = async (fields: FormData) => {
    const body = { team: fields.get('team') || null, user: fields.get('user') || null }
    token.value = (await send<{ token: string }>('POST', '/api/fleet/invitations', body)).token
  }
  const choice = (scope: 'team' | 'user') => {
    const names = budgets.filter((budget) => budget.scope === scope)
    return (
      names.length > 0 && (
        <label>
          Its calls count toward the budget of the {scope}
          <select name={scope}>
            <option value="">none</option>
            {names.map(({ name }) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
      )
    )
  }
  return (
    <Dialog title="Invite a machine" submit="Invite" act={act} onClose={close}>
      <p>One machine joins with the token. Its calls count toward the organization's budget.</p>
      {choice('team')}
      {choice('user')}
    </Dialog>
  )
}
