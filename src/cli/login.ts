import { CageError } from '../errors.ts'
import { signIn } from './client.ts'
import { withDatabaseFlags } from './flags.ts'
import { saveLogin } from './saved-tokens.ts'
import { readSecret } from './secret-input.ts'
import type { Command } from './terminal.ts'

export const loginCommand: Command = (yargs, terminal) =>
  yargs.command(
    'login <username>',
    'Sign in at the server that IRON_CAGE_URL names; the password is typed, piped in, or read from a file',
    (command) =>
      withDatabaseFlags(command)
        .positional('username', { type: 'string', demandOption: true, describe: 'The name' })
        .option('from-file', { type: 'string', requiresArg: true, describe: 'Read the password from this file' })
        .example('IRON_CAGE_URL=http://cage:8080 $0 login alice', 'then commands act as alice there'),
    async ({ username, fromFile, ...flags }) => {
      const password = await readSecret({ what: 'Password', fromFile }, terminal)
      if (password === '') throw new CageError('usage', 'the password is empty', { hint: 'type it, or pipe it in' })
      const signedIn = await signIn(flags, terminal, { username, password })
      const path = saveLogin(signedIn.url, signedIn, terminal)
      terminal.err(`signed in as ${signedIn.name} (${signedIn.role}), saved to ${path}`)
      terminal.err(`commands act so while IRON_CAGE_URL is ${signedIn.url}`)
    },
  )
