/** Shared budgets: what of each limit is spent, lent to machines, and free, as a bar and in figures. */
import { fromUsd, showUsd } from '../../src/money.ts'
import type { SharedBudgetView } from '../../src/panel/fleet-view.ts'
import { Panel } from '../parts/parts.tsx'
import { Table } from '../parts/table.tsx'
import './budgets.css'

export const Budgets = ({ budgets }: { budgets: readonly SharedBudgetView[] }) => (
  <Panel
    name="budgets"
    title="Budgets"
    aside={
      <span class="dim shares-legend" aria-hidden="true">
        <i class="share spent" /> spent <i class="share lent" /> lent <i class="share" /> free
      </span>
    }
  >
    <Table
      label="Budgets"
      columns={{ Budget: '', Share: 'wide', Limit: 'figure', Spent: 'figure', Lent: 'figure', Free: 'figure' }}
    >
      <tbody>
        {budgets.map((budget) => (
          <BudgetRow key={`${budget.scope} ${budget.name}`} budget={budget} />
        ))}
      </tbody>
    </Table>
  </Panel>
)

function BudgetRow({
  budget: { scope, name, period, limit_usd, settled_usd, lent_usd, free_usd },
}: {
  budget: SharedBudgetView
}) {
  // More than the limit may be spent and lent after it was lowered.
  const whole = Math.max(1, fromUsd(limit_usd), fromUsd(settled_usd) + fromUsd(lent_usd))
  const share = (amount: typeof limit_usd) => `${(fromUsd(amount) / whole) * 100}%`
  return (
    <tr>
      <td>
        {scope} {name}
        {period && <span class="dim"> · each {period}</span>}
      </td>
      <td class="wide">
        <span class="shares" aria-hidden="true">
          <i class="share spent" style={{ width: share(settled_usd) }} />
          <i class="share lent" style={{ width: share(lent_usd) }} />
        </span>
      </td>
      {[limit_usd, settled_usd, lent_usd, free_usd].map((amount, column) => (
        <td key={column} class="figure">
          {showUsd(amount)}
        </td>
      ))}
    </tr>
  )
}
