import type { SecretView } from '../../../vault/secret.ts'
import { type CliCommand, command } from '../../command.ts'
import { getSecret, SECRET_HELP, secretPath, showChange, withEnvironment, withVault } from './vault-client.ts'

export const rollBackCommand: CliCommand = (terminal) =>
  command({
    command: 'roll-back <name>',
    describe: 'Give a secret back its previous value',
    builder: (yargs) =>
      withEnvironment(yargs).positional('name', { type: 'string', demandOption: true, describe: SECRET_HELP }),
    handler: async ({ name, json: asJson, ...flags }) => {
      const secret = await withVault(flags, terminal, async (client, environment) => {
        const path = secretPath(await getSecret(client, name, environment))
        return client.send<SecretView>('POST', `${path}/roll-back`, {})
      })
      showChange(secret, 'has its previous value again', asJson, terminal)
    },
  })
