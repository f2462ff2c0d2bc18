import type { SecretView } from '../../../vault/secret.ts'
import type { ApiClient } from '../../client/client.ts'
import { type CliCommand, examples } from '../../command.ts'
import { AGENT_NAME_HELP, ORG_HELP, requireOrg, setCentral } from './central.ts'
import {
  commandWithEnvironment,
  findSecret,
  readValue,
  SECRET_HELP,
  SECRETS,
  secretPath,
  showChange,
  warnOfOrdinary,
  withVault,
} from './vault-client.ts'

export const setSecretCommand: CliCommand = (terminal) =>
  commandWithEnvironment('set')
    .description('Store a secret, or replace the value of one that exists')
    .argument('<name>', SECRET_HELP)
    .option('--org', ORG_HELP)
    .option('--agent <name>', AGENT_NAME_HELP)
    .option('--from-file <file>', 'Read the value from this file')
    .addHelpText(
      'after',
      examples(
        ['secrets set OPENAI_API_KEY', 'asks for the value'],
        ['secrets set OPENAI_API_KEY --env production < key.txt', 'reads it from standard input'],
        ['secrets set OPENAI_API_KEY --org --env production', 'for every machine that may have it'],
      ),
    )
    .action(async (name, { fromFile, org, agent, json: asJson, ...flags }) => {
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
