import { type CliCommand, group } from '../../command.ts'
import { allowCommand } from './allow.ts'
import { coverCommand } from './cover.ts'
import { inviteCommand } from './invite.ts'
import { listRuntimesCommand } from './list.ts'
import { orderCommand } from './order.ts'
import { resolveCommand } from './resolve.ts'
import { revokeRuntimeCommand } from './revoke.ts'

export const runtimesCommand: CliCommand = (terminal, line) =>
  group(
    'runtimes',
    'Manage the machines of the Control Panel at IRON_CAGE_URL',
    [
      listRuntimesCommand,
      inviteCommand,
      allowCommand,
      revokeRuntimeCommand,
      resolveCommand,
      coverCommand,
      ...(['stop', 'pause', 'resume'] as const).map(orderCommand),
    ],
    terminal,
    line,
  )
