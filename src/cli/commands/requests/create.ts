import { parseTypedAmount } from '../../../config/amount.ts'
import { CageError } from '../../../core/errors.ts'
import { showUsd } from '../../../core/money.ts'
import type { RequestView } from '../../../panel/fleet-view.ts'
import { type CliCommand, command } from '../../command.ts'
import { json } from '../../output/print.ts'
import { connectToPanel } from '../runtimes/panel-client.ts'

export const createRequestCommand: CliCommand = (terminal) =>
  command({
    command: 'create <usd>',
    describe: 'Ask for more of a shared budget; another person decides',
    builder: (yargs) =>
      yargs
        .positional('usd', { type: 'string', demandOption: true, describe: 'How much more' })
        .option('reason', { type: 'string', requiresArg: true, describe: 'Why, for who decides', demandOption: true })
        .option('team', {
          type: 'string',
          requiresArg: true,
          describe: "Of this team's budget (default: the organization's)",
        })
        .option('user', { type: 'string', requiresArg: true, describe: "Of this person's budget" })
        .option('agent', { type: 'string', requiresArg: true, describe: "Of this agent's budget" })
        .option('token', { type: 'string', requiresArg: true, describe: "Of this API token's budget" })
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([['$0 requests create 20 --team research --reason "a larger import"', '']]),
    handler: async ({ usd, reason, json: asJson, team, user, agent, token }) => {
      const named = Object.entries({ team, user, agent, token }).filter(([, name]) => name !== undefined)
      const [[scope, whose], ...others] = [...named, ['organization', null] as const] as const
      if (others.length > 1) {
        throw new CageError('usage', 'name one budget: --team, --user, --agent, --token, or none for the organization')
      }
      const body = { scope, name: whose, add_usd: parseTypedAmount(usd, 'the amount'), reason }
      const request = await connectToPanel(terminal).send<RequestView>('POST', '/api/fleet/requests', body)
      if (asJson) return terminal.out(json(request))
      const { id, add_usd, name } = request
      const budget = scope === 'organization' ? 'the organization' : `${scope} ${name}`
      terminal.out(`${id} asks for ${showUsd(add_usd)} more for ${budget}; another person decides`)
    },
  })
