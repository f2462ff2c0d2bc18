/** Shared budgets: what of each limit is spent, lent to machines, and free, as a bar and in figures. */
import { fromUsd, showUsdParts } from '../../src/core/money.ts'
import type { SharedBudgetView } from '../../src/panel/fleet-view.ts'
import { Panel } from '../parts/parts.tsx'
import { Table } from '../parts/table.tsx'
import { isAdmin } from '../session.ts'
import { BudgetButton, NewBudgetButton, nameOf } from './budget-dialogs.tsx'
import './budgets.css'

export const Budgets = ({ budgets }: { budgets: readonly SharedBudgetView[] }) => (
  <Panel
    name="budgets"
    title="Budgets"
    aside={
      <>
        <span class="dim shares-legend" aria-hidden="true">
          <i class="share spent" /> spent <i class="share lent" /> lent <i class="share" /> free
        </span>
        {isAdmin.value && <NewBudgetButton />}
      </>
    }
  >
    {budgets.every(({ limit_usd }) => fromUsd(limit_usd) === 0) && (
      <p class="dim">
        Nothing is paid yet: an organization begins with $0.00. {isAdmin.value ? 'Change it' : 'An admin changes it'} to
        let agents spend.
      </p>
    )}
    <Table
      cards
      label="Budgets"
      columns={{
        ...{ Budget: '', Share: 'wide', Limit: 'figure', Spent: 'figure', Lent: 'wide figure', Free: 'figure' },
        '': '',
      }}
    >
      <tbody>
        {budgets.map((budget) => (
          <BudgetRow key={`${budget.scope} ${budget.name}`} budget={budget} />
        ))}
      </tbody>
    </Table>
  </Panel>
)

function BudgetRow({ budget }: { budget: SharedBudgetView }) {
  const { period, limit_usd, settled_usd, lent_usd, free_usd } = budget
  // More than the limit may be spent and lent after it was lowered.
  const whole = Math.max(1, fromUsd(limit_usd), fromUsd(settled_usd) + fromUsd(lent_usd))
  const share = (amount: typeof limit_usd) => `${(fromUsd(amount) / whole) * 100}%`
  const [limit, spent, lent, free] = showUsdParts(limit_usd, settled_usd, lent_usd, free_usd)
  return (
    <tr>
      <td>
        {nameOf(budget)}
        {period && <span class="dim"> · each {period}</span>}
      </td>
      <td class="wide">
        <span class="shares" aria-hidden="true">
          <i class="share spent" style={{ width: share(settled_usd) }} />
          <i class="share lent" style={{ width: share(lent_usd) }} />
        </span>
      </td>
      <td class="figure">{limit}</td>
      <td class="figure">{spent}</td>
      <td class="wide figure">{lent}</td>
      <td class="figure">{free}</td>
      <td>
        <BudgetButton budget={budget} />
      </td>
    </tr>
  )
}
