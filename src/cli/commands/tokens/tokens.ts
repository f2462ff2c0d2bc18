import { type CliCommand, group } from '../../command.ts'
import { createCommand } from './create.ts'
import { listTokensCommand } from './list.ts'
import { revokeCommand } from './revoke.ts'
import { rotateTokenCommand } from './rotate.ts'

export const tokensCommand: CliCommand = (terminal, line) =>
  group(
    ['tokens', 'token'],
    'API tokens for clients that Iron Cage does not start: an IDE, a notebook, a script',
    [createCommand, listTokensCommand, rotateTokenCommand, revokeCommand],
    terminal,
    line,
  )
