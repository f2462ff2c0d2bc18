import { Argument } from '@commander-js/extra-typings'
import { withClient } from '../../client/offline-client.ts'
import type { CliCommand } from '../../command.ts'
import { commandWithDatabase } from '../../settings/flags.ts'
import { ROLES, USERNAME_HELP, userPath } from './user.ts'

export const roleCommand: CliCommand = (terminal) =>
  commandWithDatabase('role')
    .description('Make a user admin or viewer and end all sessions of that user')
    .argument('<username>', USERNAME_HELP)
    .addArgument(new Argument('<role>', 'The new role').choices(ROLES))
    .action(async (username, role, flags) => {
      await withClient(flags, terminal, (client) => client.send('PATCH', userPath(username), { role }))
      terminal.err(`${username} is ${role} from now on and must sign in again`)
    })
