import type { AgentStatus } from '../../../api/agents.ts'
import { AGENT_HELP } from '../../client/agent-id.ts'
import { withClient } from '../../client/offline-client.ts'
import { pathSegment } from '../../client/path-segment.ts'
import { type CliCommand, command } from '../../command.ts'
import { withDatabase } from '../../settings/flags.ts'
import { agentPath, CALL_HELP, parseCost, showBalance, USD_HELP } from './balance.ts'

export const correctCommand: CliCommand = (terminal) =>
  command({
    command: 'correct <id> <call> <usd>',
    describe: 'Correct the cost of a call; the difference becomes a ledger entry of its own',
    builder: (yargs) =>
      withDatabase(yargs)
        .positional('id', { type: 'string', demandOption: true, describe: AGENT_HELP })
        .positional('call', { type: 'string', demandOption: true, describe: CALL_HELP })
        .positional('usd', { type: 'string', demandOption: true, describe: USD_HELP })
        .option('reason', { type: 'string', requiresArg: true, describe: 'Why', demandOption: true })
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([
          ['# $0.12 instead of what was charged', ''],
          ['$0 budget correct lg-7a3f9c2d call-19aa 0.12 --reason "invoice of May"', ''],
        ]),
    handler: async ({ id: named, call, usd, reason, json: asJson, ...flags }) => {
      const body = { cost_usd: parseCost(usd, 'the right cost'), reason }
      const status = await withClient(flags, terminal, async (client) => {
        const path = `${await agentPath(client, named)}/calls/${pathSegment(call)}/correct`
        return client.send<AgentStatus>('POST', path, body)
      })
      showBalance(status, asJson, terminal)
    },
  })
