import { withClient } from '../../client/offline-client.ts'
import { type CliCommand, command } from '../../command.ts'
import { withDatabase } from '../../settings/flags.ts'
import { TOKEN_HELP, tokenPath } from './new-token.ts'

export const revokeCommand: CliCommand = (terminal) =>
  command({
    command: 'revoke <id>',
    describe: 'End a token at once',
    builder: (yargs) =>
      withDatabase(yargs).positional('id', { type: 'string', demandOption: true, describe: TOKEN_HELP }),
    handler: async ({ id, ...flags }) => {
      await withClient(flags, terminal, (client) => client.send('DELETE', tokenPath(id)))
      terminal.err(`token ${id} has ended`)
    },
  })
