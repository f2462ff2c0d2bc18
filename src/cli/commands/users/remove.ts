import { withClient } from '../../client/offline-client.ts'
import type { CliCommand } from '../../command.ts'
import { commandWithDatabase } from '../../settings/flags.ts'
import { USERNAME_HELP, userPath } from './user.ts'

export const removeCommand: CliCommand = (terminal) =>
  commandWithDatabase('remove')
    .description('Remove a user and end all sessions of that user')
    .argument('<username>', USERNAME_HELP)
    .action(async (username, flags) => {
      await withClient(flags, terminal, (client) => client.send('DELETE', userPath(username)))
      terminal.err(`${username} was removed`)
    })
