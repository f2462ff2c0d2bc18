import type { SecretView } from '../../../vault/secret.ts'
import type { ApiClient } from '../../client/client.ts'
import { type CliCommand, command } from '../../command.ts'
import { AGENT_NAME_HELP, ORG_HELP, requireOrg, setCentral } from './central.ts'
import {
  findSecret,
  readValue,
  SECRET_HELP,
  SECRETS,
  secretPath,
  showChange,
  warnOfOrdinary,
  withEnvironment,
  withVault,
} from './vault-client.ts'

export const setSecretCommand: CliCommand = (terminal) =>
  command({
    command: 'set <name>',
    describe: 'Store a secret, or replace the value of one that exists',
    builder: (yargs) =>
      withEnvironment(yargs)
        .positional('name', { type: 'string', demandOption: true, describe: SECRET_HELP })
        .option('org', { type: 'boolean', describe: ORG_HELP })
        .option('agent', { type: 'string', requiresArg: true, describe: AGENT_NAME_HELP })
        .option('from-file', { type: 'string', requiresArg: true, describe: 'Read the value from this file' })
        .example([
          ['$0 secrets set OPENAI_API_KEY', 'asks for the value'],
          ['# reads it from standard input', ''],
          ['$0 secrets set OPENAI_API_KEY --env production < key.txt', ''],
          ['# for every machine that may have it', ''],
          ['$0 secrets set OPENAI_API_KEY --org --env production', ''],
        ]),
    handler: async ({ name, fromFile, org, agent, json: asJson, ...flags }) => {
      requireOrg({ org, agent })
      const value = await readValue(fromFile, terminal)
      warnOfOrdinary(name, value, terminal)
      if (org) return setCentral(name, value, { env: flags.env, agent, json: asJson }, terminal)
      const { secret, change } = await withVault(
        flags,
        terminal,
        (client, environment) => setSecret(client, name, environment, value),
        { createsDatabase: true },
      )
      showChange(secret, change, asJson, terminal)
    },
  })

async function setSecret(client: ApiClient, name: string, environment: string, value: string) {
  const known = await findSecret(client, name, environment)
  return known
    ? { secret: await client.send<SecretView>('PUT', secretPath(known), { value }), change: 'has a new value' }
    : {
        secret: await client.send<SecretView>('POST', SECRETS, { name, environment, value }),
        change: 'is in the vault',
      }
}
