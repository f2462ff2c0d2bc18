import { resolve } from 'node:path'
import { readConfigFile } from '../../../config/file.ts'
import { isEmptyPolicy, parsePolicy } from '../../../config/policy.ts'
import { InvalidConfigError } from '../../../config/problems.ts'
import { CageError } from '../../../core/errors.ts'
import type { PolicyView } from '../../../panel/fleet-view.ts'
import { type CliCommand, command } from '../../command.ts'
import { json } from '../../output/print.ts'
import { connectToPanel } from '../runtimes/panel-client.ts'
import { ENVIRONMENT_FLAG } from './environment.ts'

export const setPolicyCommand: CliCommand = (terminal) =>
  command({
    command: 'set <file>',
    describe: 'Replace the policy; machines that are connected get it at once',
    builder: (yargs) =>
      yargs
        .positional('file', {
          type: 'string',
          demandOption: true,
          describe: 'YAML or TOML with settings, as in a configuration file',
        })
        .option('env', ENVIRONMENT_FLAG)
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([
          ['$0 policy set policy.yaml', 'then "iron-cage config show" on a machine'],
          ['$0 policy set strict.yaml --env production', 'for machines that may have secrets of production'],
        ]),
    handler: async ({ file, env, json: asJson }) => {
      const client = connectToPanel(terminal)
      const reading = readConfigFile(resolve(terminal.cwd, file), file)
      if (!reading.ok)
        throw new InvalidConfigError(reading.problems, {
          what: 'the policy',
          hint: 'correct the file, or name another one',
        })
      const settings = parsePolicy(reading.value ?? {}, file)
      if (isEmptyPolicy(settings)) {
        throw new CageError('invalid_config', `${file} sets nothing`, {
          hint: `to remove a policy: "iron-cage policy clear${env ? ` --env ${env}` : ''}"`,
        })
      }
      const policy = await client.send<PolicyView>('PUT', '/api/fleet/policy', { settings, environment: env })
      if (asJson) return terminal.out(json(policy))
      terminal.out(`policy ${policy.revision} is set for ${env ?? 'all machines'}`)
    },
  })
