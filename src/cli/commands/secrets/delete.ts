import type { CliCommand } from '../../command.ts'
import { AGENT_NAME_HELP, deleteCentral, ORG_HELP, requireOrg } from './central.ts'
import { commandWithEnvironment, getSecret, SECRET_HELP, secretPath, showChange, withVault } from './vault-client.ts'

export const deleteCommand: CliCommand = (terminal) =>
  commandWithEnvironment('delete')
    .description('Delete a secret; it can be restored')
    .argument('<name>', SECRET_HELP)
    .option('--org', ORG_HELP)
    .option('--agent <name>', AGENT_NAME_HELP)
    .action(async (name, { org, agent, json: asJson, ...flags }) => {
      requireOrg({ org, agent })
      if (org) return deleteCentral(name, { env: flags.env, agent, json: asJson }, terminal)
      const secret = await withVault(flags, terminal, async (client, environment) => {
        const known = await getSecret(client, name, environment)
        await client.send('DELETE', secretPath(known))
        return known
      })
      showChange(secret, 'was deleted', asJson, terminal)
    })
