import type { SecretView } from '../../../vault/secret.ts'
import { type CliCommand, command } from '../../command.ts'
import { json, printTable } from '../../output/print.ts'
import { getSecret, SECRET_HELP, secretPath, secretRow, withEnvironment, withVault } from './vault-client.ts'

export const getSecretCommand: CliCommand = (terminal) =>
  command({
    command: 'get <name>',
    describe: 'Show a secret masked, or only its value with --reveal, which is recorded in the audit',
    builder: (yargs) =>
      withEnvironment(yargs)
        .positional('name', { type: 'string', demandOption: true, describe: SECRET_HELP })
        .option('reveal', { type: 'boolean', describe: 'Write the value to standard output' })
        .example([
          ['# to the clipboard', ''],
          ['$0 secrets get OPENAI_API_KEY --reveal | wl-copy', ''],
        ]),
    handler: async ({ name, reveal, json: asJson, ...flags }) => {
      const secret = await withVault(flags, terminal, async (client, environment) => {
        const path = secretPath(await getSecret(client, name, environment))
        return client.send<SecretView & { value?: string }>('GET', reveal ? `${path}?reveal=true` : path)
      })
      if (asJson) return terminal.out(json(secret))
      if (secret.value !== undefined) return terminal.out(secret.value)
      printTable([secretRow(secret)], terminal)
    },
  })
