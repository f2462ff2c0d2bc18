import { type CliCommand, group } from '../../command.ts'
import { addCommand } from './add.ts'
import { listCommand } from './list.ts'
import { passwdCommand } from './passwd.ts'
import { removeCommand } from './remove.ts'
import { roleCommand } from './role.ts'

export const usersCommand: CliCommand = (terminal) =>
  group(
    'users',
    'Users who sign in with a password; also without a running server',
    [addCommand, listCommand, passwdCommand, roleCommand, removeCommand],
    terminal,
  )
