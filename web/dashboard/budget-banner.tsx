import { showUsd } from '../../src/core/money.ts'
import type { AgentView } from '../../src/state/snapshot.ts'
import { acknowledge, pause } from '../actions.ts'
import { ApproveIncrease } from '../panels/notifications.tsx'
import { AdminAction } from '../parts/parts.tsx'
import { isAlive, openAlerts, shown } from '../store.ts'

/** The budget is nearly spent and the alert is still open: shown above everything else. */
export function BudgetBanner({ current }: { current: AgentView }) {
  const alert = openAlerts.value.find(
    ({ kind, agent_id, budget }) => agent_id === current.id && kind.startsWith('budget_') && !budget,
  )
  const canGoOn = isAlive(current) || current.state === 'budget_stopped'
  if (!alert || !shown.value || !canGoOn || !(current.warned || current.exhausted)) return null
  const canPause = current.state === 'running'
  return (
    <div class={`banner ${current.exhausted ? 'bad' : 'warn'}`} role="status">
      <b>
        {alert.title}: {showUsd(current.spent_usd)} of {showUsd(current.limit_usd)} spent
      </b>
      <span>
        {current.exhausted ? 'Paid calls are blocked.' : `${outlook()}The agent is stopped when a call no longer fits.`}
      </span>
      <span class="space" />
      <ApproveIncrease agent={current} />
      {canPause && <AdminAction label="Pause agent" act={() => pause(current.id)} />}
      <AdminAction label="Dismiss" kind="ghost" act={() => acknowledge(alert.id)} />
    </div>
  )
}

const outlook = (): string => (shown.value?.projection ? `${shown.value.projection}. ` : '')
