import { Command } from '@commander-js/extra-typings'
import type { PolicyView } from '../../../panel/fleet-view.ts'
import { type CliCommand, examples } from '../../command.ts'
import { json } from '../../print.ts'
import { connectToPanel } from '../runtimes/panel-client.ts'

export const clearPolicyCommand: CliCommand = (terminal) =>
  new Command('clear')
    .description('Remove the policy: each machine has its own configuration alone again')
    .option('--json', 'Print JSON')
    .addHelpText('after', examples(['policy clear', '']))
    .action(async ({ json: asJson }) => {
      const policy = await connectToPanel(terminal).send<PolicyView>('PUT', '/api/fleet/policy', { settings: null })
      if (asJson) return terminal.out(json(policy))
      terminal.out('there is no policy any more')
    })
