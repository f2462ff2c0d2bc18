import { Option } from '@commander-js/extra-typings'
import type { User } from '../../../access/users.ts'
import { withClient } from '../../client/offline-client.ts'
import { type CliCommand, examples } from '../../command.ts'
import { json } from '../../output/print.ts'
import { commandWithDatabase } from '../../settings/flags.ts'
import { readSecret } from '../../settings/secret-input.ts'
import { ROLES, USERNAME_HELP } from './user.ts'

export const addUserCommand: CliCommand = (terminal) =>
  commandWithDatabase('add')
    .description('Add a user; the password is typed, piped in, or read from a file')
    .argument('<username>', USERNAME_HELP)
    .option('--from-file <file>', 'Read the password from this file')
    .option(
      '--email <address>',
      'On a Control Panel: add a user without a password, who signs in at the identity provider with this address',
    )
    .addOption(new Option('--role <role>', 'What the user may do').choices(ROLES).default('viewer' as const))
    .option('--json', 'Print JSON')
    .addHelpText(
      'after',
      examples(
        ['users add alice --role admin', 'asks for the password'],
        ['users add alice --email alice@example.com', 'signs in at the identity provider of a Control Panel'],
      ),
    )
    .action(async (username, { role, fromFile, email, json: asJson, ...flags }) => {
      const isByPassword = email === undefined || fromFile !== undefined
      const proof = isByPassword && {
        password: await readSecret({ what: 'Password', fromFile, twice: true }, terminal),
      }
      const user = await withClient(
        flags,
        terminal,
        (client) => client.send<User>('POST', '/api/users', { username, role, email, ...proof }),
        { createsDatabase: true },
      )
      if (asJson) return terminal.out(json(user))
      terminal.err(`created user ${user.username} (role: ${user.role})`)
    })
