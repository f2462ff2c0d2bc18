import { Command } from '@commander-js/extra-typings'
import { parseTypedAmount } from '../../../config/amount.ts'
import { CageError } from '../../../errors.ts'
import { showUsd } from '../../../money.ts'
import type { RequestView } from '../../../panel/fleet-view.ts'
import { type CliCommand, examples } from '../../command.ts'
import { json } from '../../print.ts'
import { connectToPanel } from '../runtimes/panel-client.ts'

export const createRequestCommand: CliCommand = (terminal) =>
  new Command('create')
    .description('Ask for more of a shared budget; another person decides')
    .argument('<usd>', 'How much more')
    .requiredOption('--reason <text>', 'Why, for who decides')
    .option('--team <name>', "Of this team's budget (default: the organization's)")
    .option('--user <name>', "Of this person's budget")
    .option('--json', 'Print JSON')
    .addHelpText('after', examples(['requests create 20 --team research --reason "a larger import"', '']))
    .action(async (usd, { reason, team, user, json: asJson }) => {
      if (team !== undefined && user !== undefined) {
        throw new CageError('usage', 'name one budget: --team, --user, or neither for the organization')
      }
      const scope = team !== undefined ? 'team' : user !== undefined ? 'user' : 'organization'
      const body = { scope, name: team ?? user ?? null, add_usd: parseTypedAmount(usd, 'the amount'), reason }
      const request = await connectToPanel(terminal).send<RequestView>('POST', '/api/fleet/requests', body)
      if (asJson) return terminal.out(json(request))
      const { id, add_usd, name } = request
      terminal.out(`${id} asks for ${showUsd(add_usd)} more of the ${scope} ${name}`)
    })
