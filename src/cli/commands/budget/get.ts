import type { AgentStatus } from '../../../api/agents.ts'
import type { ConfiguredBudgets } from '../../../api/budgets.ts'
import { CageError } from '../../../core/errors.ts'
import type { FleetView, SharedBudgetView } from '../../../panel/fleet-view.ts'
import { AGENT_HELP } from '../../client/agent-id.ts'
import { withClient } from '../../client/offline-client.ts'
import { type CliCommand, command } from '../../command.ts'
import { withDatabase } from '../../settings/flags.ts'
import { connectToPanel } from '../runtimes/panel-client.ts'
import { agentPath, showBalance, showConfigured, showShared } from './balance.ts'

export const getBudgetCommand: CliCommand = (terminal) =>
  command({
    command: 'get [id]',
    describe: 'Show the limit and spending of an agent, or the limits of the server and of each run',
    builder: (yargs) =>
      withDatabase(yargs)
        .positional('id', { type: 'string', describe: `${AGENT_HELP} (default: the limits of the configuration)` })
        .option('org', { type: 'boolean', describe: 'The shared budgets of the Control Panel at IRON_CAGE_URL' })
        .option('team', { type: 'string', requiresArg: true, describe: 'The budget of a team there' })
        .option('user', { type: 'string', requiresArg: true, describe: 'The budget of a person there' })
        .option('agent', { type: 'string', requiresArg: true, describe: 'The budget of an agent there, by its name' })
        .option('token', {
          type: 'string',
          requiresArg: true,
          describe: 'The budget of an API token there, by its name',
        })
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([['$0 budget get lg-7a3f9c2d --json', 'for a script']]),
    handler: async ({ id, org, team, user, agent, token, json: asJson, ...flags }) => {
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
    },
  })

/** Throws CageError `not_found`. */
function find({ budgets }: FleetView, [scope, named]: [string, string | undefined]): SharedBudgetView {
  const budget = budgets.find((one) => one.scope === scope && one.name === named)
  if (budget) return budget
  throw new CageError('not_found', `the ${scope} "${named}" has no budget`, {
    hint: 'list the budgets with "iron-cage budget get --org"',
  })
}
