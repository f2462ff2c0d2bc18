import type { CliCommand } from '../../command.ts'
import { commandWithEnvironment, getSecret, SECRET_HELP, secretPath, showChange, withVault } from './vault-client.ts'

export const deleteCommand: CliCommand = (terminal) =>
  commandWithEnvironment('delete')
    .description('Delete a secret; it can be restored')
    .argument('<name>', SECRET_HELP)
    .action(async (name, { json: asJson, ...flags }) => {
      const secret = await withVault(flags, terminal, async (client, environment) => {
        const known = await getSecret(client, name, environment)
        await client.send('DELETE', secretPath(known))
        return known
      })
      showChange(secret, 'was deleted', asJson, terminal)
    })
