import { CageError } from '../../errors.ts'
import { signIn } from '../client.ts'
import { type CliCommand, examples } from '../command.ts'
import { commandWithDatabase } from '../flags.ts'
import { saveLogin } from '../saved-tokens.ts'
import { readSecret } from '../secret-input.ts'

export const loginCommand: CliCommand = (terminal) =>
  commandWithDatabase('login')
    .description('Sign in to the server at IRON_CAGE_URL; the password is typed, piped in, or read from a file')
    .argument('<username>', 'The name of the user')
    .option('--from-file <file>', 'Read the password from this file')
    .addHelpText('after', examples(['login alice', 'with IRON_CAGE_URL=http://cage:8080, then commands act as alice']))
    .action(async (username, { fromFile, ...flags }) => {
      const password = await readSecret({ what: 'Password', fromFile }, terminal)
      if (password === '') throw new CageError('usage', 'the password is empty', { hint: 'type it, or pipe it in' })
      const signedIn = await signIn(flags, terminal, { username, password })
      const path = saveLogin(signedIn.url, signedIn, terminal)
      terminal.err(`signed in as ${signedIn.name} (${signedIn.role}), saved to ${path}`)
      terminal.err(`commands act as ${signedIn.name} while IRON_CAGE_URL is ${signedIn.url}`)
    })
