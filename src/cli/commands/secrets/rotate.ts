import { type CliCommand, examples } from '../../command.ts'
import { rotateAndReport } from './rotation-progress.ts'
import {
  commandWithEnvironment,
  getSecret,
  readValue,
  SECRET_HELP,
  showChange,
  warnOfOrdinary,
  withVault,
} from './vault-client.ts'

export const rotateSecretCommand: CliCommand = (terminal) =>
  commandWithEnvironment('rotate')
    .description('Replace the value of a secret, and report which running agents have it and which need a restart')
    .argument('<name>', SECRET_HELP)
    .option('--from-file <file>', 'Read the value from this file')
    .addHelpText('after', examples(['secrets rotate OPENAI_API_KEY', 'asks for the value']))
    .action(async (name, { fromFile, json: asJson, ...flags }) => {
      const value = await readValue(fromFile, terminal)
      warnOfOrdinary(name, value, terminal)
      const secret = await withVault(flags, terminal, async (client, environment) =>
        rotateAndReport(client, await getSecret(client, name, environment), value, terminal.err),
      )
      showChange(secret, 'has a new value', asJson, terminal)
    })
