import type { AgentStatus } from '../../../api/agents.ts'
import type { ConfiguredBudgets } from '../../../api/budgets.ts'
import { CageError } from '../../../core/errors.ts'
import type { FleetView, SharedBudgetView } from '../../../panel/fleet-view.ts'
import { AGENT_HELP } from '../../client/agent-id.ts'
import { withClient } from '../../client/offline-client.ts'
import { type CliCommand, examples } from '../../command.ts'
import { commandWithDatabase } from '../../settings/flags.ts'
import { connectToPanel } from '../runtimes/panel-client.ts'
import { agentPath, showBalance, showConfigured, showShared } from './balance.ts'

export const getBudgetCommand: CliCommand = (terminal) =>
  commandWithDatabase('get')
    .description('Show the limit and spending of an agent, or the limits of the server and of each run')
    .argument('[id]', `${AGENT_HELP} (default: the limits of the configuration)`)
    .option('--org', 'The shared budgets of the Control Panel at IRON_CAGE_URL')
    .option('--team <name>', 'The budget of a team there')
    .option('--user <name>', 'The budget of a person there')
    .option('--agent <name>', 'The budget of an agent there, by its name')
    .option('--token <name>', 'The budget of an API token there, by its name')
    .option('--json', 'Print JSON')
    .addHelpText('after', examples(['budget get lg-7a3f9c2d --json', 'for a script']))
    .action(async (id, { org, team, user, agent, token, json: asJson, ...flags }) => {
      const shared = Object.entries({ team, user, agent, token }).filter(([, name]) => name !== undefined)
      if (org || shared.length > 0) {
        const fleet = await connectToPanel(terminal).send<FleetView>('GET', '/api/fleet')
        return showShared(
          { budgets: org ? fleet.budgets : shared.map((named) => find(fleet, named)) },
          asJson,
          terminal,
        )
      }
      await withClient(flags, terminal, async (client) => {
        if (id === undefined) {
          return showConfigured(await client.send<ConfiguredBudgets>('GET', '/api/budgets'), asJson, terminal)
        }
        const path = `${await agentPath(client, id)}/status`
        showBalance(await client.send<AgentStatus>('GET', path), asJson, terminal)
      })
    })

/** Throws CageError `not_found`. */
function find({ budgets }: FleetView, [scope, named]: [string, string | undefined]): SharedBudgetView {
  const budget = budgets.find((one) => one.scope === scope && one.name === named)
  if (budget) return budget
  throw new CageError('not_found', `the ${scope} "${named}" has no budget`, {
    hint: 'list the budgets with "iron-cage budget get --org"',
  })
}
