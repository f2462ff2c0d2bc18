import type { ApiToken } from '../../../access/api-tokens.ts'
import { withClient } from '../../client/offline-client.ts'
import { type CliCommand, command } from '../../command.ts'
import { json, printTable } from '../../output/print.ts'
import { withDatabase } from '../../settings/flags.ts'

export const listTokensCommand: CliCommand = (terminal) =>
  command({
    command: 'list',
    describe: 'List the tokens, without their values',
    builder: (yargs) => withDatabase(yargs).option('json', { type: 'boolean', describe: 'Print JSON' }),
    handler: async ({ json: asJson, ...flags }) => {
      const { tokens } = await withClient(flags, terminal, (client) =>
        client.send<{ tokens: ApiToken[] }>('GET', '/api/tokens'),
      )
      if (asJson) return terminal.out(json(tokens))
      printTable(tokens.map(rowOf), terminal, ['TOKEN', 'NAME', 'ROLE', 'AGENT', 'EXPIRES'])
      if (tokens.length === 0) terminal.err('there are no tokens yet; create one with "iron-cage tokens create"')
    },
  })

const rowOf = ({ id, name, role, agent_id, expires_at, revoked_at }: ApiToken): string[] => [
  id,
  name,
  role,
  agent_id ?? '–',
  revoked_at ? `revoked ${revoked_at}` : (expires_at ?? 'never'),
]
