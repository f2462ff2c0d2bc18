import type { PolicyView } from '../../../panel/fleet-view.ts'
import { type CliCommand, command } from '../../command.ts'
import { json } from '../../output/print.ts'
import { connectToPanel } from '../runtimes/panel-client.ts'
import { ENVIRONMENT_FLAG } from './environment.ts'

export const clearPolicyCommand: CliCommand = (terminal) =>
  command({
    command: 'clear',
    describe: 'Remove the policy for all machines, or that of an environment',
    builder: (yargs) =>
      yargs
        .option('env', ENVIRONMENT_FLAG)
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([['$0 policy clear', '']]),
    handler: async ({ env, json: asJson }) => {
      const policy = await connectToPanel(terminal).send<PolicyView>('PUT', '/api/fleet/policy', {
        settings: null,
        environment: env,
      })
      if (asJson) return terminal.out(json(policy))
      terminal.out(`no policy is set for ${env ?? 'all machines'}`)
    },
  })
