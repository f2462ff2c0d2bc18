import type { CliCommand } from '../../command.ts'
import { examples } from '../../command.ts'
import { commandWithDatabase } from '../../flags.ts'
import { withClient } from '../../offline-client.ts'
import { USERNAME_HELP, userPath } from './user.ts'

export const emailCommand: CliCommand = (terminal) =>
  commandWithDatabase('email')
    .description(
      'On a Control Panel: change the address with which a user signs in at the identity provider, and end all sessions and tokens of that user',
    )
    .argument('<username>', USERNAME_HELP)
    .argument('<address>', 'The new e-mail address')
    .addHelpText('after', examples(['users email grace grace@example.com', '']))
    .action(async (username, address, flags) => {
      await withClient(flags, terminal, (client) => client.send('PATCH', userPath(username), { email: address }))
      terminal.err(`${username} has the address ${address.toLowerCase()} and must sign in again`)
    })
