import type { AgentStatus } from '../../../api/agents.ts'
import type { ConfiguredBudgets } from '../../../api/budgets.ts'
import { AGENT_HELP } from '../../agent-id.ts'
import { type CliCommand, examples } from '../../command.ts'
import { commandWithDatabase } from '../../flags.ts'
import { withClient } from '../../offline-client.ts'
import { agentPath, showBalance, showConfigured } from './balance.ts'

export const getBudgetCommand: CliCommand = (terminal) =>
  commandWithDatabase('get')
    .description('Show the limit and spending of an agent, or the limits of the server and of each run')
    .argument('[id]', `${AGENT_HELP} (default: the limits of the configuration)`)
    .option('--json', 'Print JSON')
    .addHelpText('after', examples(['budget get lg-7a3f9c2d --json', 'for a script']))
    .action((id, { json: asJson, ...flags }) =>
      withClient(flags, terminal, async (client) => {
        if (id === undefined) {
          return showConfigured(await client.send<ConfiguredBudgets>('GET', '/api/budgets'), asJson, terminal)
        }
        const path = `${await agentPath(client, id)}/status`
        showBalance(await client.send<AgentStatus>('GET', path), asJson, terminal)
      }),
    )
