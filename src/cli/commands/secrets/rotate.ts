import { type CliCommand, command } from '../../command.ts'
import { rotateAndReport } from './rotation-progress.ts'
import {
  getSecret,
  readValue,
  SECRET_HELP,
  showChange,
  warnOfOrdinary,
  withEnvironment,
  withVault,
} from './vault-client.ts'

export const rotateSecretCommand: CliCommand = (terminal) =>
  command({
    command: 'rotate <name>',
    describe: 'Replace the value of a secret, and report which running agents have it and which need a restart',
    builder: (yargs) =>
      withEnvironment(yargs)
        .positional('name', { type: 'string', demandOption: true, describe: SECRET_HELP })
        .option('from-file', { type: 'string', requiresArg: true, describe: 'Read the value from this file' })
        .example([['$0 secrets rotate OPENAI_API_KEY', 'asks for the value']]),
    handler: async ({ name, fromFile, json: asJson, ...flags }) => {
      const value = await readValue(fromFile, terminal)
      warnOfOrdinary(name, value, terminal)
      const secret = await withVault(flags, terminal, async (client, environment) =>
        rotateAndReport(client, await getSecret(client, name, environment), value, terminal.err),
      )
      showChange(secret, 'has a new value', asJson, terminal)
    },
  })
