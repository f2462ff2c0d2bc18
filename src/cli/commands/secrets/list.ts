import type { CliCommand } from '../../command.ts'
import { json, printTable } from '../../print.ts'
import { commandWithEnvironment, SECRETS, type SecretsResponse, secretRow, withVault } from './vault-client.ts'

export const listSecretsCommand: CliCommand = (terminal) =>
  commandWithEnvironment('list')
    .description('List the secrets of every environment, or of one, masked')
    .option('--deleted', 'Include those that can be restored')
    .action(async ({ json: asJson, deleted, ...flags }) => {
      const query = new URLSearchParams({
        ...(flags.env !== undefined && { environment: flags.env }),
        ...(deleted && { deleted: 'true' }),
      })
      const { secrets, vault } = await withVault(flags, terminal, (client) =>
        client.send<SecretsResponse>('GET', `${SECRETS}?${query}`),
      )
      if (asJson) terminal.out(json(secrets))
      else printTable(secrets.map(secretRow), terminal, ['NAME', 'ENVIRONMENT', 'VALUE', 'VERSION', 'CHANGED'])
      if (vault.state === 'locked') terminal.err(`the vault is locked: ${vault.message}; ${vault.hint}`)
      else if (secrets.length === 0) terminal.err('there are no secrets yet; add one with "iron-cage secrets set"')
    })
