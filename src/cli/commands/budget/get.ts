import type { AgentStatus } from '../../../api/agents.ts'
import type { ConfiguredBudgets } from '../../../api/budgets.ts'
import type { FleetView } from '../../../panel/fleet-view.ts'
import { AGENT_HELP } from '../../agent-id.ts'
import { type CliCommand, examples } from '../../command.ts'
import { commandWithDatabase } from '../../flags.ts'
import { withClient } from '../../offline-client.ts'
import { connectToPanel } from '../runtimes/panel-client.ts'
import { agentPath, showBalance, showConfigured, showShared } from './balance.ts'

export const getBudgetCommand: CliCommand = (terminal) =>
  commandWithDatabase('get')
    .description('Show the limit and spending of an agent, or the limits of the server and of each run')
    .argument('[id]', `${AGENT_HELP} (default: the limits of the configuration)`)
    .option('--org', 'The shared budgets of the Control Panel at IRON_CAGE_URL')
    .option('--json', 'Print JSON')
    .addHelpText('after', examples(['budget get lg-7a3f9c2d --json', 'for a script']))
    .action(async (id, { org, json: asJson, ...flags }) => {
      if (org) return showShared(await connectToPanel(terminal).send<FleetView>('GET', '/api/fleet'), asJson, terminal)
      await withClient(flags, terminal, async (client) => {
        if (id === undefined) {
          return showConfigured(await client.send<ConfiguredBudgets>('GET', '/api/budgets'), asJson, terminal)
        }
        const path = `${await agentPath(client, id)}/status`
        showBalance(await client.send<AgentStatus>('GET', path), asJson, terminal)
      })
    })
