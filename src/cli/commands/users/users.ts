import { type CliCommand, group } from '../../command.ts'
import { addUserCommand } from './add.ts'
import { emailCommand } from './email.ts'
import { listUsersCommand } from './list.ts'
import { passwdCommand } from './passwd.ts'
import { removeCommand } from './remove.ts'
import { roleCommand } from './role.ts'

export const usersCommand: CliCommand = (terminal, line) =>
  group(
    'users',
    'Users who sign in with a password; also without a running server',
    [addUserCommand, listUsersCommand, passwdCommand, emailCommand, roleCommand, removeCommand],
    terminal,
    line,
  )
