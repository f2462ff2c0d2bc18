import type { SecretView } from '../../../vault/secret.ts'
import type { ApiClient } from '../../client/client.ts'
import { type CliCommand, command } from '../../command.ts'
import {
  SECRET_HELP,
  SECRETS,
  type SecretsResponse,
  secretPath,
  showChange,
  unknownSecret,
  withEnvironment,
  withVault,
} from './vault-client.ts'

export const restoreSecretCommand: CliCommand = (terminal) =>
  command({
    command: 'restore <name>',
    describe: 'Restore the secret of this name that was deleted last',
    builder: (yargs) =>
      withEnvironment(yargs).positional('name', { type: 'string', demandOption: true, describe: SECRET_HELP }),
    handler: async ({ name, json: asJson, ...flags }) => {
      const secret = await withVault(flags, terminal, async (client, environment) => {
        const path = secretPath(await lastDeleted(client, name, environment))
        return client.send<SecretView>('POST', `${path}/restore`, {})
      })
      showChange(secret, 'was restored', asJson, terminal)
    },
  })

/** Throws CageError `not_found`. */
async function lastDeleted(client: ApiClient, name: string, environment: string): Promise<SecretView> {
  const query = new URLSearchParams({ name, environment, deleted: 'true' })
  const { secrets } = await client.send<SecretsResponse>('GET', `${SECRETS}?${query}`)
  const [last] = secrets
    .filter(({ deleted_at }) => deleted_at !== null)
    .toSorted((one, other) => other.deleted_at!.localeCompare(one.deleted_at!))
  if (!last) throw unknownSecret(name, environment)
  return last
}
