import type { User } from '../../../access/users.ts'
import { withClient } from '../../client/offline-client.ts'
import { type CliCommand, command } from '../../command.ts'
import { json } from '../../output/print.ts'
import { withDatabase } from '../../settings/flags.ts'
import { readSecret } from '../../settings/secret-input.ts'
import { ROLES, USERNAME_HELP } from './user.ts'

export const addUserCommand: CliCommand = (terminal) =>
  command({
    command: 'add <username>',
    describe: 'Add a user; the password is typed, piped in, or read from a file',
    builder: (yargs) =>
      withDatabase(yargs)
        .positional('username', { type: 'string', demandOption: true, describe: USERNAME_HELP })
        .option('from-file', { type: 'string', requiresArg: true, describe: 'Read the password from this file' })
        .option('email', {
          type: 'string',
          requiresArg: true,
          describe:
            'On a Control Panel: add a user without a password, who signs in at the identity provider with this address',
        })
        .option('role', {
          type: 'string',
          requiresArg: true,
          describe: 'What the user may do',
          choices: ROLES,
          default: 'viewer' as const,
        })
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([
          ['$0 users add alice --role admin', 'asks for the password'],
          ['$0 users add alice --email alice@example.com', 'signs in at the identity provider of a Control Panel'],
        ]),
    handler: async ({ username, role, fromFile, email, json: asJson, ...flags }) => {
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
    },
  })
