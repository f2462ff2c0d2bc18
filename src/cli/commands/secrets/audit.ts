import type { SecretAuditRow } from '../../../db/tables/secrets.ts'
import type { CliCommand } from '../../command.ts'
import { json, printTable } from '../../output/print.ts'
import { decimal } from '../../settings/flags.ts'
import { commandWithEnvironment, SECRETS, withVault } from './vault-client.ts'

export const secretAuditCommand: CliCommand = (terminal) =>
  commandWithEnvironment('audit')
    .description('Show who did what with secrets, newest first')
    .argument('[name]', 'Of this secret only')
    .option('--limit <count>', 'How many at most', decimal, 100)
    .action(async (name, { limit, json: asJson, ...flags }) => {
      const query = new URLSearchParams({ limit: String(limit), ...(name !== undefined && { secret_name: name }) })
      const { entries } = await withVault(flags, terminal, (client) =>
        client.send<{ entries: SecretAuditRow[] }>('GET', `${SECRETS}/audit?${query}`),
      )
      if (asJson) return terminal.out(json(entries))
      printTable(entries.map(rowOf), terminal, ['TIME', 'SECRET', 'OPERATION', 'ROLE', 'AGENT', 'RESULT'])
      if (entries.length === 0) terminal.err('no entries yet')
    })

const rowOf = (row: SecretAuditRow): string[] => [
  row.timestamp,
  row.secret_name,
  row.operation,
  row.requester_role,
  row.agent_id ?? '–',
  row.success ? 'ok' : `failed: ${row.error_message}`,
]
