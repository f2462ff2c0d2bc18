import { Command } from '@commander-js/extra-typings'
import { parseTypedAmount } from '../../../config/amount.ts'
import { CageError } from '../../../core/errors.ts'
import { showUsd } from '../../../core/money.ts'
import type { RequestView } from '../../../panel/fleet-view.ts'
import { type CliCommand, examples } from '../../command.ts'
import { json } from '../../output/print.ts'
import { connectToPanel } from '../runtimes/panel-client.ts'

export const createRequestCommand: CliCommand = (terminal) =>
  new Command('create')
    .description('Ask for more of a shared budget; another person decides')
    .argument('<usd>', 'How much more')
    .requiredOption('--reason <text>', 'Why, for who decides')
    .option('--team <name>', "Of this team's budget (default: the organization's)")
    .option('--user <name>', "Of this person's budget")
    .option('--agent <name>', "Of this agent's budget")
    .option('--token <name>', "Of this API token's budget")
    .option('--json', 'Print JSON')
    .addHelpText('after', examples(['requests create 20 --team research --reason "a larger import"', '']))
    .action(async (usd, { reason, json: asJson, ...named }) => {
      const [[scope, whose], ...others] = [...Object.entries(named), ['organization', null] as const] as const
      if (others.length > 1) {
        throw new CageError('usage', 'name one budget: --team, --user, --agent, --token, or none for the organization')
      }
      const body = { scope, name: whose, add_usd: parseTypedAmount(usd, 'the amount'), reason }
      const request = await connectToPanel(terminal).send<RequestView>('POST', '/api/fleet/requests', body)
      if (asJson) return terminal.out(json(request))
      const { id, add_usd, name } = request
      const budget = scope === 'organization' ? 'the organization' : `${scope} ${name}`
      terminal.out(`${id} asks for ${showUsd(add_usd)} more for ${budget}; another person decides`)
    })
