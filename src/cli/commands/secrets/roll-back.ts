import type { SecretView } from '../../../vault/secret.ts'
import type { CliCommand } from '../../command.ts'
import { commandWithEnvironment, getSecret, SECRET_HELP, secretPath, showChange, withVault } from './vault-client.ts'

export const rollBackCommand: CliCommand = (terminal) =>
  commandWithEnvironment('roll-back')
    .description('Give a secret back its previous value')
    .argument('<name>', SECRET_HELP)
    .action(async (name, { json: asJson, ...flags }) => {
      const secret = await withVault(flags, terminal, async (client, environment) => {
        const path = secretPath(await getSecret(client, name, environment))
        return client.send<SecretView>('POST', `${path}/roll-back`, {})
      })
      showChange(secret, 'has its previous value again', asJson, terminal)
    })
