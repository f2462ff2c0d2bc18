import { resolve } from 'node:path'
import { Command } from '@commander-js/extra-typings'
import { readConfigFile } from '../../../config/file.ts'
import { isEmptyPolicy, parsePolicy } from '../../../config/policy.ts'
import { InvalidConfigError } from '../../../config/problems.ts'
import { CageError } from '../../../core/errors.ts'
import type { PolicyView } from '../../../panel/fleet-view.ts'
import { type CliCommand, examples } from '../../command.ts'
import { json } from '../../output/print.ts'
import { connectToPanel } from '../runtimes/panel-client.ts'
import { environmentOption } from './environment.ts'

export const setPolicyCommand: CliCommand = (terminal) =>
  new Command('set')
    .description('Replace the policy; machines that are connected get it at once')
    .argument('<file>', 'YAML or TOML with settings, as in a configuration file')
    .addOption(environmentOption())
    .option('--json', 'Print JSON')
    .addHelpText(
      'after',
      examples(
        ['policy set policy.yaml', 'then "iron-cage config show" on a machine'],
        ['policy set strict.yaml --env production', 'for machines that may have secrets of production'],
      ),
    )
    .action(async (file, { env, json: asJson }) => {
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
    })
