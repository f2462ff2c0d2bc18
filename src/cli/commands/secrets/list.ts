import { type CliCommand, command } from '../../command.ts'
import { json, printTable } from '../../output/print.ts'
import { listCentral, ORG_HELP } from './central.ts'
import { SECRETS, type SecretsResponse, secretRow, withEnvironment, withVault } from './vault-client.ts'

export const listSecretsCommand: CliCommand = (terminal) =>
  command({
    command: 'list',
    describe: 'List the secrets of every environment, or of one, masked',
    builder: (yargs) =>
      withEnvironment(yargs)
        .option('org', { type: 'boolean', describe: ORG_HELP })
        .option('deleted', { type: 'boolean', describe: 'Include those that can be restored' }),
    handler: async ({ json: asJson, org, deleted, ...flags }) => {
      if (org) return listCentral({ json: asJson }, terminal)
      const query = new URLSearchParams({
        ...(flags.env !== undefined && { environment: flags.env }),
        ...(deleted && { deleted: 'true' }),
      })
      const { secrets, vault } = await withVault(flags, terminal, (client) =>
        client.send<SecretsResponse>('GET', `${SECRETS}?${query}`),
      )
      if (asJson) terminal.out(json(secrets))
      else
        printTable(secrets.map(listedRow), terminal, ['NAME', 'ENVIRONMENT', 'VALUE', 'VERSION', 'CHANGED', 'ORIGIN'])
      if (vault.state === 'locked') terminal.err(`the vault is locked: ${vault.message}; ${vault.hint}`)
      else if (secrets.length === 0) terminal.err('there are no secrets yet; add one with "iron-cage secrets set"')
    },
  })

/** From where it is; a secret of the panel that the vault has as well is hidden behind that one. */
const listedRow = (secret: SecretsResponse['secrets'][number]): string[] => [
  ...secretRow(secret),
  secret.origin === 'vault' ? 'this machine' : `Control Panel${secret.agent === null ? '' : `, for ${secret.agent}`}`,
]
