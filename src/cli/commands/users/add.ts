import { Option } from '@commander-js/extra-typings'
import type { User } from '../../../access/users.ts'
import { type CliCommand, examples } from '../../command.ts'
import { commandWithDatabase } from '../../flags.ts'
import { withClient } from '../../offline-client.ts'
import { json } from '../../print.ts'
import { readSecret } from '../../secret-input.ts'
import { ROLES, USERNAME_HELP } from './user.ts'

export const addUserCommand: CliCommand = (terminal) =>
  commandWithDatabase('add')
    .description('Add a user; the password is typed, piped in, or read from a file')
    .argument('<username>', USERNAME_HELP)
    .option('--from-file <file>', 'Read the password from this file')
    .addOption(new Option('--role <role>', 'What the user may do').choices(ROLES).default('viewer' as const))
    .option('--json', 'Print JSON')
    .addHelpText('after', examples(['users add alice --role admin', 'asks for the password']))
    .action(async (username, { role, fromFile, json: asJson, ...flags }) => {
      const password = await readSecret({ what: 'Password', fromFile, twice: true }, terminal)
      const user = await withClient(
        flags,
        terminal,
        (client) => client.send<User>('POST', '/api/users', { username, role, password }),
        { createsDatabase: true },
      )
      if (asJson) return terminal.out(json(user))
      terminal.err(`created user ${user.username} (role: ${user.role})`)
    })
