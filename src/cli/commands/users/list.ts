import type { User } from '../../../access/users.ts'
import { withClient } from '../../client/offline-client.ts'
import { type CliCommand, command } from '../../command.ts'
import { json, printTable } from '../../output/print.ts'
import { withDatabase } from '../../settings/flags.ts'

export const listUsersCommand: CliCommand = (terminal) =>
  command({
    command: 'list',
    describe: 'List the users',
    builder: (yargs) => withDatabase(yargs).option('json', { type: 'boolean', describe: 'Print JSON' }),
    handler: async ({ json: asJson, ...flags }) => {
      const { users } = await withClient(flags, terminal, (client) =>
        client.send<{ users: User[] }>('GET', '/api/users'),
      )
      if (asJson) return terminal.out(json(users))
      const rows = users.map(({ username, role, created_at }) => [username, role, created_at])
      printTable(rows, terminal, ['USER', 'ROLE', 'CREATED'])
      if (users.length === 0) terminal.err('there are no users yet; add one with "iron-cage users add"')
    },
  })
