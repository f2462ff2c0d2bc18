import type { SecretView } from '../../../vault/secret.ts'
import { type CliCommand, examples } from '../../command.ts'
import { json, printTable } from '../../output/print.ts'
import { commandWithEnvironment, getSecret, SECRET_HELP, secretPath, secretRow, withVault } from './vault-client.ts'

export const getSecretCommand: CliCommand = (terminal) =>
  commandWithEnvironment('get')
    .description('Show a secret masked, or only its value with --reveal, which is recorded in the audit')
    .argument('<name>', SECRET_HELP)
    .option('--reveal', 'Write the value to standard output')
    .addHelpText('after', examples(['secrets get OPENAI_API_KEY --reveal | wl-copy', 'to the clipboard']))
    .action(async (name, { reveal, json: asJson, ...flags }) => {
      const secret = await withVault(flags, terminal, async (client, environment) => {
        const path = secretPath(await getSecret(client, name, environment))
        return client.send<SecretView & { value?: string }>('GET', reveal ? `${path}?reveal=true` : path)
      })
      if (asJson) return terminal.out(json(secret))
      if (secret.value !== undefined) return terminal.out(secret.value)
      printTable([secretRow(secret)], terminal)
    })
