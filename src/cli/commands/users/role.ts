import { withClient } from '../../client/offline-client.ts'
import { type CliCommand, command } from '../../command.ts'
import { withDatabase } from '../../settings/flags.ts'
import { ROLES, USERNAME_HELP, userPath } from './user.ts'

export const roleCommand: CliCommand = (terminal) =>
  command({
    command: 'role <username> <role>',
    describe: 'Make a user admin or viewer and end all sessions of that user',
    builder: (yargs) =>
      withDatabase(yargs)
        .positional('username', { type: 'string', demandOption: true, describe: USERNAME_HELP })
        .positional('role', { type: 'string', demandOption: true, describe: 'The new role', choices: ROLES }),
    handler: async ({ username, role, ...flags }) => {
      await withClient(flags, terminal, (client) => client.send('PATCH', userPath(username), { role }))
      terminal.err(`${username} is ${role} from now on and must sign in again`)
    },
  })
