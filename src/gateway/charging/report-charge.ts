/** Charges a cost that an agent's own code reports: held and charged like a call, from the same budgets. */
import type { Money } from '../../budget/open-money.ts'
import type { NewEvent } from '../../core/events.ts'
import { newCallId } from '../../core/ids.ts'
import { type Nanodollars, showUsd, toUsd, ZERO_USD } from '../../core/money.ts'
import type { StateManager } from '../../state/state-manager.ts'
import type { Caller } from '../call.ts'
import { waitUntilRunnable } from '../wait-until-runnable.ts'
import { OpenHold } from './open-hold.ts'

export interface ReportedCharge {
  caller: Caller
  /** The service that was paid, without personal data. */
  service: string
  cost: Nanodollars
  description: string | undefined
  /** Fires when the agent hangs up. */
  signal: AbortSignal
}

/**
 * Throws CageError `agent_paused` or `agent_not_running`, and what `OpenHold.begin` throws; then nothing is charged.
 */
export async function reportCharge(
  { state, money }: { state: StateManager; money: Pick<Money, 'ledger' | 'raiseWait'> },
  charge: ReportedCharge,
): Promise<void> {
  const { caller, service, cost, signal } = charge
  await waitUntilRunnable(state, caller, signal)
  const call = { id: newCallId(), caller, kind: 'reported', target: service, model: null, maxCost: cost } as const
  const hold = await OpenHold.begin(money, call, signal)
  await hold.charge({ cost }, reportedEvent(hold, charge))
}

const reportedEvent = ({ id, paidBy }: OpenHold, { caller, service, cost, description }: ReportedCharge): NewEvent => ({
  type: 'service.called',
  level: 'INFO',
  agent_id: caller.agentId,
  message: `${service} reported ${showUsd(toUsd(cost))}${description ? ` · ${description}` : ''}`,
  data: {
    call_id: id,
    service,
    ok: true,
    status: 200,
    tier: 1,
    blocked: false,
    cost_usd: toUsd(cost),
    saved_usd: ZERO_USD,
    latency_ms: 0,
    ...paidBy,
  },
})
