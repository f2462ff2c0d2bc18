/** Changing a shared budget, making one, and asking for more of one. */
import { signal } from '@preact/signals'
import { showUsd } from '../../src/core/money.ts'
import type { SharedBudgetView } from '../../src/panel/fleet-view.ts'
import { amountOf, Dialog } from '../parts/dialog.tsx'
import { ApiError, isAdmin, send } from '../session.ts'

type Scope = SharedBudgetView['scope']

/** The open dialog: a budget to change or to ask more of, or a new one. */
const open = signal<SharedBudgetView | 'new' | null>(null)

/** Admins change it, others ask for more of it. */
export const BudgetButton = ({ budget }: { budget: SharedBudgetView }) => (
  <button
    type="button"
    class="btn ghost"
    aria-label={`${isAdmin.value ? 'Change' : 'Ask for more of'} the budget of ${nameOf(budget)}`}
    onClick={() => (open.value = budget)}
  >
    {isAdmin.value ? 'Change' : 'Ask for more'}
  </button>
)

export const NewBudgetButton = () => (
  <button type="button" class="btn" onClick={() => (open.value = 'new')}>
    + Add budget
  </button>
)

/** "team research"; the organization's by that word alone. */
export const nameOf = ({ scope, name }: Pick<SharedBudgetView, 'scope' | 'name'>): string =>
  scope === 'organization' ? 'the organization' : `${scope} ${name}`

/** `onChanged`: reads the fleet again. */
export function BudgetDialog({ budgets, onChanged }: Pick<NewBudgetProps, 'budgets' | 'onChanged'>) {
  if (open.value === null) return null
  const props = { onChanged, onClose: () => (open.value = null) }
  if (open.value === 'new') return <NewBudget {...props} budgets={budgets} />
  return isAdmin.value ? <ChangeBudget {...props} budget={open.value} /> : <AskForMore {...props} budget={open.value} />
}

interface DialogProps {
  onChanged: () => Promise<void>
  onClose: () => void
}

const limitOf = (fields: FormData) => ({ limit_usd: amountOf(fields, 'limit'), period: fields.get('period') || null })

const LimitFields = ({ budget }: { budget?: SharedBudgetView }) => (
  <>
    <label>
      Limit in US dollars
      <input name="limit" inputMode="decimal" autocomplete="off" required defaultValue={budget?.limit_usd} />
    </label>
    <label>
      Renews
      <select name="period" defaultValue={budget?.period ?? ''}>
        <option value="">never</option>
        <option value="day">each day, in UTC</option>
        <option value="month">each month, in UTC</option>
      </select>
    </label>
  </>
)

function ChangeBudget({ budget, onChanged, onClose }: DialogProps & { budget: SharedBudgetView }) {
  const { scope, name } = budget
  const act = async (fields: FormData) => {
    const path = scope === 'organization' ? scope : `${scope}/${encodeURIComponent(name)}`
    await send('PATCH', `/api/fleet/budgets/${path}`, limitOf(fields))
    await onChanged()
  }
  return (
    <Dialog title={`Budget of ${nameOf(budget)}`} submit="Set" act={act} onClose={onClose}>
      <LimitFields budget={budget} />
    </Dialog>
  )
}

const NEW_SCOPES: Readonly<Record<Exclude<Scope, 'organization'>, string>> = {
  team: 'team: its people’s machines',
  user: 'user: a person’s machines',
  agent: 'agent: by its name, on all machines',
  token: 'token: of an API token, on all machines',
}

type NewBudgetProps = DialogProps & { budgets: readonly SharedBudgetView[] }

function NewBudget({ budgets, onChanged, onClose }: NewBudgetProps) {
  const act = async (fields: FormData) => {
    const [scope, name] = [String(fields.get('scope')), String(fields.get('name')).trim()]
    if (budgets.some((budget) => budget.scope === scope && budget.name === name)) {
      throw new ApiError(409, `${scope} ${name} already has a budget`, 'change that one')
    }
    await send('PATCH', `/api/fleet/budgets/${scope}/${encodeURIComponent(name)}`, limitOf(fields))
    await onChanged()
  }
  return (
    <Dialog title="Add a budget" submit="Add" act={act} onClose={onClose}>
      <p class="dim">
        It counts within the organization's budget: each call must fit into every budget that applies to it.
      </p>
      <label>
        For a
        <select name="scope">
          {Object.entries(NEW_SCOPES).map(([scope, word]) => (
            <option key={scope} value={scope}>
              {word}
            </option>
          ))}
        </select>
      </label>
      <label>
        Name
        <input name="name" required autocomplete="off" spellcheck={false} />
      </label>
      <LimitFields />
    </Dialog>
  )
}

function AskForMore({ budget, onChanged, onClose }: DialogProps & { budget: SharedBudgetView }) {
  const { scope, name, limit_usd } = budget
  const act = async (fields: FormData) => {
    const asked = { add_usd: amountOf(fields, 'more'), reason: fields.get('reason') }
    await send('POST', '/api/fleet/requests', { scope, name: scope === 'organization' ? null : name, ...asked })
    await onChanged()
  }
  return (
    <Dialog title={`More for ${nameOf(budget)}?`} submit="Ask" act={act} onClose={onClose}>
      <p>
        The limit is {showUsd(limit_usd)}. An admin decides{scope === 'user' && ', or the lead of a team'}.
      </p>
      <label>
        How much more, in US dollars
        <input name="more" inputMode="decimal" autocomplete="off" required />
      </label>
      <label>
        Reason
        <input name="reason" maxLength={500} autocomplete="off" required />
      </label>
    </Dialog>
  )
}
