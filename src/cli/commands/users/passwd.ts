import { withClient } from '../../client/offline-client.ts'
import type { CliCommand } from '../../command.ts'
import { commandWithDatabase } from '../../settings/flags.ts'
import { readSecret } from '../../settings/secret-input.ts'
import { USERNAME_HELP, userPath } from './user.ts'

export const passwdCommand: CliCommand = (terminal) =>
  commandWithDatabase('passwd')
    .description('Set a new password for a user and end all sessions of that user')
    .argument('<username>', USERNAME_HELP)
    .option('--from-file <file>', 'Read the password from this file')
    .action(async (username, { fromFile, ...flags }) => {
      const password = await readSecret({ what: 'New password', fromFile, twice: true }, terminal)
      await withClient(flags, terminal, (client) => client.send('PATCH', userPath(username), { password }))
      terminal.err(`${username} has a new password and must sign in again`)
    })
