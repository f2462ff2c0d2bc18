import { CageError } from '../../../core/errors.ts'
import { withClient } from '../../client/offline-client.ts'
import type { CliCommand } from '../../command.ts'
import { examples } from '../../command.ts'
import { commandWithDatabase } from '../../settings/flags.ts'
import { USERNAME_HELP, userPath } from './user.ts'

export const emailCommand: CliCommand = (terminal) =>
  commandWithDatabase('email')
    .description(
      'On a Control Panel: change the address with which a user signs in at the identity provider, and end all sessions and tokens of that user',
    )
    .argument('<username>', USERNAME_HELP)
    .argument('[address]', 'The new e-mail address')
    .option('--remove', 'Remove the address; the user then signs in with a password')
    .addHelpText(
      'after',
      examples(['users email grace grace@example.com', ''], ['users email grace --remove', 'only a password is left']),
    )
    .action(async (username, address, { remove = false, ...flags }) => {
      if (remove === (address !== undefined)) throw new CageError('usage', 'give the new address, or --remove')
      await withClient(flags, terminal, (client) =>
        client.send('PATCH', userPath(username), { email: address ?? null }),
      )
      const what = address === undefined ? 'no address' : `the address ${address.toLowerCase()}`
      terminal.err(`${username} has ${what} and must sign in again`)
    })
