/** The output of the commands of `budget`, and how they read amounts. */

import type { AgentStatus } from '../../../api/agents.ts'
import type { Amounts, ConfiguredBudgets } from '../../../api/budgets.ts'
import { parseTypedAmount } from '../../../config/amount.ts'
import { add, fromUsd, showUsd, showUsdParts, toUsd, type Usd, ZERO_USD } from '../../../core/money.ts'
import type { FleetView } from '../../../panel/fleet-view.ts'
import { resolveAgentId } from '../../client/agent-id.ts'
import type { ApiClient } from '../../client/client.ts'
import { pathSegment } from '../../client/path-segment.ts'
import { json, printTable } from '../../output/print.ts'
import type { Terminal } from '../../output/terminal.ts'

export const USD_HELP = "US dollars: 25, 25.00 or '$25'"

export const CALL_HELP = 'The call, as "budget calls" shows it'

/** A cost may be zero only when written as 0.00: a shell makes a bare 0 of an unquoted $0.12. */
export const parseCost = (text: string, name: string): Usd =>
  text === '0.00' ? ZERO_USD : parseTypedAmount(text, name, 'for nothing write 0.00')

/** The path of the agent that is meant. Throws what `resolveAgentId` throws. */
export const agentPath = async (client: ApiClient, named: string): Promise<string> =>
  `/api/agents/${pathSegment(await resolveAgentId(client, named))}`

/** An agent's own budget, then every budget that its calls must fit into. */
export function showBalance({ agent, budget, budgets }: AgentStatus, asJson: boolean | undefined, terminal: Terminal) {
  const { limit_usd, spent_usd, held_usd, remaining_usd } = budget
  if (asJson) return terminal.out(json({ agent_id: agent.id, limit_usd, spent_usd, held_usd, remaining_usd, budgets }))
  for (const { scope, ...amounts } of budgets) terminal.out(line(scope === 'agent' ? agent.id : scope, amounts))
}

/** The budgets of the configuration: of the server and of each run. */
export function showConfigured(budgets: ConfiguredBudgets, asJson: boolean | undefined, terminal: Terminal): void {
  if (asJson) return terminal.out(json(budgets))
  const { server, run } = budgets
  if (server) terminal.out(line('server', server))
  if (run) terminal.out(`each run  ${showUsd(run.limit_usd)}`)
  if (!server && !run) terminal.err("there are no budgets besides the agents' own")
}

/** The budgets of a Control Panel. */
export function showShared(
  { budgets }: Pick<FleetView, 'budgets'>,
  asJson: boolean | undefined,
  terminal: Terminal,
): void {
  if (asJson) return terminal.out(json(budgets))
  const rows = budgets.map(({ scope, name, period, limit_usd, settled_usd, lent_usd, free_usd }) => {
    const [limit, ...parts] = showUsdParts(limit_usd, settled_usd, lent_usd, free_usd)
    return [`${scope} ${name}`, period === null ? limit! : `${limit} a ${period}`, ...parts]
  })
  printTable(rows, terminal, ['BUDGET', 'LIMIT', 'SPENT', 'LENT', 'FREE'])
  for (const { scope, name, limit_usd, settled_usd, lent_usd } of budgets) {
    const [limit, taken] = [fromUsd(limit_usd), add(fromUsd(settled_usd), fromUsd(lent_usd))]
    if (limit >= taken) continue
    terminal.err(
      `the limit of ${scope} ${name} is below the ${showUsd(toUsd(taken))} spent or lent: nothing more is lent`,
    )
  }
}

function line(owner: string, { limit_usd, spent_usd, held_usd, remaining_usd }: Amounts): string {
  const held = held_usd === ZERO_USD ? '' : `, ${showUsd(held_usd)} held`
  return `${owner}  ${showUsd(spent_usd)} / ${showUsd(limit_usd)}${held}, ${showUsd(remaining_usd)} left`
}
