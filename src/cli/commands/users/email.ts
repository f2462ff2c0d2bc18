import { CageError } from '../../../core/errors.ts'
import { withClient } from '../../client/offline-client.ts'
import { type CliCommand, command } from '../../command.ts'
import { withDatabase } from '../../settings/flags.ts'
import { USERNAME_HELP, userPath } from './user.ts'

export const emailCommand: CliCommand = (terminal) =>
  command({
    command: 'email <username> [address]',
    describe:
      'On a Control Panel: change the address with which a user signs in at the identity provider, and end all sessions and tokens of that user',
    builder: (yargs) =>
      withDatabase(yargs)
        .positional('username', { type: 'string', demandOption: true, describe: USERNAME_HELP })
        .positional('address', { type: 'string', describe: 'The new e-mail address' })
        .option('remove', { type: 'boolean', describe: 'Remove the address; the user then signs in with a password' })
        .example([
          ['$0 users email grace grace@example.com', ''],
          ['$0 users email grace --remove', 'only a password is left'],
        ]),
    handler: async ({ username, address, remove = false, ...flags }) => {
      if (remove === (address !== undefined)) throw new CageError('usage', 'give the new address, or --remove')
      await withClient(flags, terminal, (client) =>
        client.send('PATCH', userPath(username), { email: address ?? null }),
      )
      const what = address === undefined ? 'no address' : `the address ${address.toLowerCase()}`
      terminal.err(`${username} has ${what} and must sign in again`)
    },
  })
