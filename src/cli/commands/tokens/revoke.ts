import { withClient } from '../../client/offline-client.ts'
import type { CliCommand } from '../../command.ts'
import { commandWithDatabase } from '../../settings/flags.ts'
import { TOKEN_HELP, tokenPath } from './new-token.ts'

export const revokeCommand: CliCommand = (terminal) =>
  commandWithDatabase('revoke')
    .description('End a token at once')
    .argument('<id>', TOKEN_HELP)
    .action(async (id, flags) => {
      await withClient(flags, terminal, (client) => client.send('DELETE', tokenPath(id)))
      terminal.err(`token ${id} has ended`)
    })
