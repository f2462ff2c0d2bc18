import { type CliCommand, command } from '../../command.ts'
import { AGENT_NAME_HELP, deleteCentral, ORG_HELP, requireOrg } from './central.ts'
import { getSecret, SECRET_HELP, secretPath, showChange, withEnvironment, withVault } from './vault-client.ts'

export const deleteCommand: CliCommand = (terminal) =>
  command({
    command: 'delete <name>',
    describe: 'Delete a secret; it can be restored',
    builder: (yargs) =>
      withEnvironment(yargs)
        .positional('name', { type: 'string', demandOption: true, describe: SECRET_HELP })
        .option('org', { type: 'boolean', describe: ORG_HELP })
        .option('agent', { type: 'string', requiresArg: true, describe: AGENT_NAME_HELP }),
    handler: async ({ name, org, agent, json: asJson, ...flags }) => {
      requireOrg({ org, agent })
      if (org) return deleteCentral(name, { env: flags.env, agent, json: asJson }, terminal)
      const secret = await withVault(flags, terminal, async (client, environment) => {
        const known = await getSecret(client, name, environment)
        await client.send('DELETE', secretPath(known))
        return known
      })
      showChange(secret, 'was deleted', asJson, terminal)
    },
  })
