import type { AgentStatus } from '../../../api/agents.ts'
import { AGENT_HELP } from '../../client/agent-id.ts'
import { withClient } from '../../client/offline-client.ts'
import { pathSegment } from '../../client/path-segment.ts'
import { type CliCommand, examples } from '../../command.ts'
import { commandWithDatabase } from '../../settings/flags.ts'
import { agentPath, CALL_HELP, parseCost, showBalance, USD_HELP } from './balance.ts'

export const correctCommand: CliCommand = (terminal) =>
  commandWithDatabase('correct')
    .description('Correct the cost of a call; the difference becomes a ledger entry of its own')
    .argument('<id>', AGENT_HELP)
    .argument('<call>', CALL_HELP)
    .argument('<usd>', USD_HELP)
    .requiredOption('--reason <text>', 'Why')
    .option('--json', 'Print JSON')
    .addHelpText(
      'after',
      examples([
        'budget correct lg-7a3f9c2d call-19aa 0.12 --reason "invoice of May"',
        '$0.12 instead of what was charged',
      ]),
    )
    .action(async (named, call, usd, { reason, json: asJson, ...flags }) => {
      const body = { cost_usd: parseCost(usd, 'the right cost'), reason }
      const status = await withClient(flags, terminal, async (client) => {
        const path = `${await agentPath(client, named)}/calls/${pathSegment(call)}/correct`
        return client.send<AgentStatus>('POST', path, body)
      })
      showBalance(status, asJson, terminal)
    })
