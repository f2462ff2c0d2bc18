import { Option } from '@commander-js/extra-typings'
import { showUsd } from '../../../core/money.ts'
import { showLatency } from '../../../core/units.ts'
import { type FoundCalls, type ShownCall, tokensText, tookMs } from '../../../state/call-view.ts'
import { AGENT_HELP, resolveAgentId } from '../../client/agent-id.ts'
import type { ApiClient } from '../../client/client.ts'
import { withClient } from '../../client/offline-client.ts'
import { type CliCommand, examples } from '../../command.ts'
import { json, printTable } from '../../output/print.ts'
import { commandWithDatabase } from '../../settings/flags.ts'
import { showCommand } from './show.ts'

export const callsCommand: CliCommand = (terminal) =>
  commandWithDatabase('calls')
    .helpCommand(false)
    .description('List the calls of one agent or all, newest first; also without a running server')
    .argument('[id]', `${AGENT_HELP} (default: all agents)`)
    .option('--model <model>', 'Calls of this model')
    .option('--target <name>', 'Calls to this provider or service')
    .addOption(
      new Option('--outcome <outcome>', 'Calls that ended like this').choices([
        ...(['answered', 'failed', 'running', 'unresolved'] as const),
      ]),
    )
    .option('--unit <unit>', 'Calls of this unit of work: "lead 67"')
    .option('--min-cost <usd>', 'Calls that cost at least this much')
    .option('--from <time>', 'Started at this time or later: 2026-01-02')
    .option('--to <time>', 'Started before this time')
    .addOption(new Option('--sort <order>', 'What comes first (default: newest)').choices(['newest', 'oldest', 'cost']))
    .option('--limit <count>', 'How many at most (default: 100)')
    .option('--json', 'Print JSON')
    .addHelpText(
      'after',
      examples(
        ['calls lg-7a3f9c2d --outcome failed', 'what went wrong'],
        ['calls --sort cost --limit 10', 'the most expensive calls of all agents'],
      ),
    )
    .addCommand(showCommand(terminal))
    .action(async (named, { json: asJson, config, db, minCost, ...filters }) => {
      const { calls } = await withClient({ config, db }, terminal, async (client) => {
        const query = await queryOf(client, { ...filters, min_cost_usd: minCost }, named)
        return client.send<FoundCalls>('GET', `/api/calls?${query}`)
      })
      if (asJson) return terminal.out(json(calls))
      if (calls.length === 0) return terminal.err('no matching calls')
      printTable([HEADER, ...calls.map(rowOf)], terminal)
    })

async function queryOf(client: ApiClient, filters: Record<string, string | undefined>, named: string | undefined) {
  const agent_id = named === undefined ? undefined : await resolveAgentId(client, named)
  const given = Object.entries({ ...filters, agent_id }).filter(([, value]) => value !== undefined)
  return new URLSearchParams(given as [string, string][])
}

const HEADER = ['CALL', 'STARTED', 'AGENT', 'TO', 'UNIT', 'OUTCOME', 'COST', 'TOKENS IN/OUT', 'TOOK']

function rowOf(call: ShownCall): string[] {
  const took = tookMs(call)
  return [
    call.id,
    call.started_at,
    call.agent_id,
    call.model ?? call.target,
    call.unit ?? '-',
    call.code ?? call.state,
    call.state === 'held' || call.state === 'unresolved' ? `${showUsd(call.held_usd)} held` : showUsd(call.cost_usd),
    tokensText(call) || '-',
    took === null ? '-' : showLatency(took),
  ]
}
