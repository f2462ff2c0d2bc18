import { Command } from '@commander-js/extra-typings'
import type { PolicyView } from '../../../panel/fleet-view.ts'
import { type CliCommand, examples } from '../../command.ts'
import { json } from '../../output/print.ts'
import { connectToPanel } from '../runtimes/panel-client.ts'
import { environmentOption } from './environment.ts'

export const clearPolicyCommand: CliCommand = (terminal) =>
  new Command('clear')
    .description('Remove the policy for all machines, or that of an environment')
    .addOption(environmentOption())
    .option('--json', 'Print JSON')
    .addHelpText('after', examples(['policy clear', '']))
    .action(async ({ env, json: asJson }) => {
      const policy = await connectToPanel(terminal).send<PolicyView>('PUT', '/api/fleet/policy', {
        settings: null,
        environment: env,
      })
      if (asJson) return terminal.out(json(policy))
      terminal.out(`no policy is set for ${env ?? 'all machines'}`)
    })
