import { type CliCommand, group } from '../../command.ts'
import { createRequestCommand } from './create.ts'
import { approveCommand, rejectCommand } from './decide.ts'
import { listRequestsCommand } from './list.ts'

export const requestsCommand: CliCommand = (terminal, line) =>
  group(
    'requests',
    'Ask for more of a shared budget, and decide, on the Control Panel at IRON_CAGE_URL',
    [listRequestsCommand, createRequestCommand, approveCommand, rejectCommand],
    terminal,
    line,
  )
