import { withClient } from '../../client/offline-client.ts'
import { type CliCommand, command } from '../../command.ts'
import { withDatabase } from '../../settings/flags.ts'
import { USERNAME_HELP, userPath } from './user.ts'

export const removeCommand: CliCommand = (terminal) =>
  command({
    command: 'remove <username>',
    describe: 'Remove a user and end all sessions of that user',
    builder: (yargs) =>
      withDatabase(yargs).positional('username', { type: 'string', demandOption: true, describe: USERNAME_HELP }),
    handler: async ({ username, ...flags }) => {
      await withClient(flags, terminal, (client) => client.send('DELETE', userPath(username)))
      terminal.err(`${username} was removed`)
    },
  })
