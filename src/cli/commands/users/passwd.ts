import { withClient } from '../../client/offline-client.ts'
import { type CliCommand, command } from '../../command.ts'
import { withDatabase } from '../../settings/flags.ts'
import { readSecret } from '../../settings/secret-input.ts'
import { USERNAME_HELP, userPath } from './user.ts'

export const passwdCommand: CliCommand = (terminal) =>
  command({
    command: 'passwd <username>',
    describe: 'Set a new password for a user and end all sessions of that user',
    builder: (yargs) =>
      withDatabase(yargs)
        .positional('username', { type: 'string', demandOption: true, describe: USERNAME_HELP })
        .option('from-file', { type: 'string', requiresArg: true, describe: 'Read the password from this file' }),
    handler: async ({ username, fromFile, ...flags }) => {
      const password = await readSecret({ what: 'New password', fromFile, twice: true }, terminal)
      await withClient(flags, terminal, (client) => client.send('PATCH', userPath(username), { password }))
      terminal.err(`${username} has a new password and must sign in again`)
    },
  })
