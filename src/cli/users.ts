import type { Argv } from 'yargs'
import type { User } from '../access/users.ts'
import { withDatabaseFlags } from './flags.ts'
import { json, table } from './print.ts'
import { readSecret } from './secret-input.ts'
import { withAccess } from './stored-api.ts'
import type { Command } from './terminal.ts'

const ROLES = ['admin', 'viewer'] as const

export const usersCommand: Command = (yargs, terminal) =>
  yargs.command('users', 'People who sign in with a password; also without a running server', (users) =>
    users
      .command(
        'add <username>',
        'Add somebody; the password is typed, piped in, or read from a file',
        (command) =>
          withPassword(withUser(command))
            .option('role', { choices: ROLES, default: 'viewer' as const, describe: 'What this person may do' })
            .option('json', { type: 'boolean', describe: 'Write JSON' })
            .example('$0 users add alice --role admin', 'asks for the password'),
        async ({ username, role, fromFile, json: asJson, ...flags }) => {
          const password = await readSecret({ what: 'Password', fromFile, twice: true }, terminal)
          const send = { username, role, password }
          const user = await withAccess(flags, terminal, (client) => client.send<User>('POST', '/api/users', send), {
            makesDatabase: true,
          })
          if (asJson) return terminal.out(json(user))
          terminal.err(`${user.username} may sign in as ${user.role}`)
        },
      )
      .command(
        'list',
        'Show who may sign in',
        (command) => withDatabaseFlags(command).option('json', { type: 'boolean', describe: 'Write JSON' }),
        async ({ json: asJson, ...flags }) => {
          const { users: rows } = await withAccess(flags, terminal, (client) =>
            client.send<{ users: User[] }>('GET', '/api/users'),
          )
          if (asJson) return terminal.out(json(rows))
          table(rows.map(({ username, role, created_at }) => [username, role, `since ${created_at}`])).forEach(
            terminal.out,
          )
          if (rows.length === 0) terminal.err('there are no users yet; add one with "iron-cage users add"')
        },
      )
      .command(
        'passwd <username>',
        'Give somebody another password; every session of that person ends',
        (command) => withPassword(withUser(command)),
        async ({ username, fromFile, ...flags }) => {
          const password = await readSecret({ what: 'New password', fromFile, twice: true }, terminal)
          await withAccess(flags, terminal, (client) => client.send('PATCH', pathOf(username), { password }))
          terminal.err(`${username} has a new password and must sign in again`)
        },
      )
      .command(
        'role <username> <role>',
        'Make somebody admin or viewer; every session of that person ends',
        (command) =>
          withUser(command).positional('role', { choices: ROLES, demandOption: true, describe: 'admin or viewer' }),
        async ({ username, role, ...flags }) => {
          await withAccess(flags, terminal, (client) => client.send('PATCH', pathOf(username), { role }))
          terminal.err(`${username} is ${role} from now on and must sign in again`)
        },
      )
      .command(
        'remove <username>',
        'End every session of somebody, and let that person in no more',
        (command) => withUser(command),
        async ({ username, ...flags }) => {
          await withAccess(flags, terminal, (client) => client.send('DELETE', pathOf(username)))
          terminal.err(`${username} is let in no more`)
        },
      )
      .demandCommand(1, 'users needs one of: add, list, passwd, role, remove'),
  )

const withUser = (command: Argv) =>
  withDatabaseFlags(command).positional('username', { type: 'string', demandOption: true, describe: 'The name' })

const withPassword = <T>(command: Argv<T>) =>
  command.option('from-file', { type: 'string', requiresArg: true, describe: 'Read the password from this file' })

const pathOf = (username: string): string => `/api/users/${encodeURIComponent(username)}`
