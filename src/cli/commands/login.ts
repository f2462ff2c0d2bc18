import { CageError } from '../../core/errors.ts'
import { type SignedIn, signIn, signInWithLink } from '../client/client.ts'
import { saveLogin } from '../client/saved-tokens.ts'
import { type CliCommand, command } from '../command.ts'
import type { Terminal } from '../output/terminal.ts'
import { withDatabase } from '../settings/flags.ts'
import { readSecret } from '../settings/secret-input.ts'

export const loginCommand: CliCommand = (terminal) =>
  command({
    command: 'login [username]',
    describe:
      'Sign in to the server or Control Panel at IRON_CAGE_URL; the password is typed, piped in, or read from a file',
    builder: (yargs) =>
      withDatabase(yargs)
        .positional('username', {
          type: 'string',
          describe: 'The name of the user; "organization/name" on a Control Panel with several organizations',
        })
        .option('from-file', { type: 'string', requiresArg: true, describe: 'Read the password from this file' })
        .option('link', {
          type: 'string',
          requiresArg: true,
          describe: 'Sign in with a link that works once, as "iron-cage panel" prints it, instead',
        })
        .example([
          ['$0 login alice', 'with IRON_CAGE_URL=http://cage:8080, then commands act as alice'],
          ['# as the operator of a new Control Panel', ''],
          ['$0 login --link "http://localhost:8090/#code=…"', ''],
        ]),
    handler: async ({ username, fromFile, link, ...flags }) => {
      if ((username === undefined) === (link === undefined)) {
        throw new CageError('usage', 'expected a user name, or --link', { hint: 'see "iron-cage login --help"' })
      }
      const signedIn =
        link === undefined ? await byPassword(username!, fromFile, flags, terminal) : await signInWithLink(link)
      const path = saveLogin(signedIn.url, signedIn, terminal)
      terminal.err(`signed in as ${signedIn.name} (${signedIn.role}), saved to ${path}`)
      terminal.err(`commands act as ${signedIn.name} while IRON_CAGE_URL is ${signedIn.url}`)
    },
  })

async function byPassword(
  username: string,
  fromFile: string | undefined,
  flags: Parameters<typeof signIn>[0],
  terminal: Terminal,
): Promise<SignedIn> {
  const password = await readSecret({ what: 'Password', fromFile }, terminal)
  if (password === '') throw new CageError('usage', 'the password is empty', { hint: 'type it, or pipe it in' })
  return signIn(flags, terminal, { username, password })
}
