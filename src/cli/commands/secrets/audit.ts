import type { SecretAuditRow } from '../../../db/tables/secrets.ts'
import { type CliCommand, command } from '../../command.ts'
import { json, printTable } from '../../output/print.ts'
import { decimal } from '../../settings/flags.ts'
import { SECRETS, withEnvironment, withVault } from './vault-client.ts'

export const secretAuditCommand: CliCommand = (terminal) =>
  command({
    command: 'audit [name]',
    describe: 'Show who did what with secrets, newest first',
    builder: (yargs) =>
      withEnvironment(yargs).positional('name', { type: 'string', describe: 'Of this secret only' }).option('limit', {
        type: 'string',
        requiresArg: true,
        describe: 'How many at most',
        default: '100',
        coerce: decimal,
      }),
    handler: async ({ name, limit, json: asJson, ...flags }) => {
      const query = new URLSearchParams({ limit: String(limit), ...(name !== undefined && { secret_name: name }) })
      const { entries } = await withVault(flags, terminal, (client) =>
        client.send<{ entries: SecretAuditRow[] }>('GET', `${SECRETS}/audit?${query}`),
      )
      if (asJson) return terminal.out(json(entries))
      printTable(entries.map(rowOf), terminal, ['TIME', 'SECRET', 'OPERATION', 'ROLE', 'AGENT', 'RESULT'])
      if (entries.length === 0) terminal.err('no entries yet')
    },
  })

const rowOf = (row: SecretAuditRow): string[] => [
  row.timestamp,
  row.secret_name,
  row.operation,
  row.requester_role,
  row.agent_id ?? '–',
  row.success ? 'ok' : `failed: ${row.error_message}`,
]
