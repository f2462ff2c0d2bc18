import { showUsd } from '../../../core/money.ts'
import { showLatency } from '../../../core/units.ts'
import { type FoundCalls, type ShownCall, tokensText, tookMs } from '../../../state/call-view.ts'
import { AGENT_HELP, resolveAgentId } from '../../client/agent-id.ts'
import type { ApiClient } from '../../client/client.ts'
import { withClient } from '../../client/offline-client.ts'
import { type CliCommand, command } from '../../command.ts'
import { json, printTable } from '../../output/print.ts'
import { withDatabase } from '../../settings/flags.ts'
import { showCommand } from './show.ts'

export const callsCommand: CliCommand = (terminal, line) =>
  command({
    command: 'calls [id]',
    describe: 'List the calls of one agent or all, newest first; also without a running server',
    builder: (yargs) =>
      withDatabase(yargs)
        .positional('id', { type: 'string', describe: `${AGENT_HELP} (default: all agents)` })
        .option('model', { type: 'string', requiresArg: true, describe: 'Calls of this model' })
        .option('target', { type: 'string', requiresArg: true, describe: 'Calls to this provider or service' })
        .option('outcome', {
          type: 'string',
          requiresArg: true,
          describe: 'Calls that ended like this',
          choices: ['answered', 'failed', 'running', 'unresolved'] as const,
        })
        .option('unit', { type: 'string', requiresArg: true, describe: 'Calls of this unit of work: "lead 67"' })
        .option('min-cost', { type: 'string', requiresArg: true, describe: 'Calls that cost at least this much' })
        .option('from', { type: 'string', requiresArg: true, describe: 'Started at this time or later: 2026-01-02' })
        .option('to', { type: 'string', requiresArg: true, describe: 'Started before this time' })
        .option('sort', {
          type: 'string',
          requiresArg: true,
          describe: 'What comes first (default: newest)',
          choices: ['newest', 'oldest', 'cost'],
        })
        .option('limit', { type: 'string', requiresArg: true, describe: 'How many at most (default: 100)' })
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .command(showCommand(terminal, line))
        .example([
          ['$0 calls lg-7a3f9c2d --outcome failed', 'what went wrong'],
          ['$0 calls --sort cost --limit 10', 'the most expensive calls of all agents'],
        ]),
    handler: async ({
      id: named,
      json: asJson,
      config,
      db,
      minCost,
      model,
      target,
      outcome,
      unit,
      from,
      to,
      sort,
      limit,
    }) => {
      const filters = { model, target, outcome, unit, from, to, sort, limit, min_cost_usd: minCost }
      const { calls } = await withClient({ config, db }, terminal, async (client) => {
        const query = await queryOf(client, filters, named)
        return client.send<FoundCalls>('GET', `/api/calls?${query}`)
      })
      if (asJson) return terminal.out(json(calls))
      if (calls.length === 0) return terminal.err('no matching calls')
      printTable([HEADER, ...calls.map(rowOf)], terminal)
    },
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
