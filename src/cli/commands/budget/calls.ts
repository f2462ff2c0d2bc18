import { showExactUsd } from '../../../core/money.ts'
import type { ShownCall } from '../../../state/call-view.ts'
import { AGENT_HELP } from '../../client/agent-id.ts'
import { withClient } from '../../client/offline-client.ts'
import { type CliCommand, command } from '../../command.ts'
import { json, printTable } from '../../output/print.ts'
import { withDatabase } from '../../settings/flags.ts'
import { agentPath } from './balance.ts'

export const callsCommand: CliCommand = (terminal) =>
  command({
    command: 'calls <id>',
    describe: 'List ledger entries, newest first',
    builder: (yargs) =>
      withDatabase(yargs)
        .positional('id', { type: 'string', demandOption: true, describe: AGENT_HELP })
        .option('state', {
          type: 'string',
          requiresArg: true,
          describe: 'Only entries in this state',
          choices: ['held', 'charged', 'released', 'unresolved'],
        })
        .option('kind', {
          type: 'string',
          requiresArg: true,
          describe: 'Only entries of this kind',
          choices: ['llm', 'service', 'reported', 'correction'],
        })
        .option('from', { type: 'string', requiresArg: true, describe: 'Started at this time or later: 2026-01-02' })
        .option('to', { type: 'string', requiresArg: true, describe: 'Started before this time' })
        .option('limit', { type: 'string', requiresArg: true, describe: 'How many at most (default: 100)' })
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([
          ['# what a killed server left open', ''],
          ['$0 budget calls lg-7a3f9c2d --state unresolved', ''],
        ]),
    handler: async ({ id: named, state, kind, from, to, limit, json: asJson, ...flags }) => {
      const given = Object.entries({ state, kind, from, to, limit }).filter(([, value]) => value !== undefined)
      const query = new URLSearchParams(given as [string, string][])
      const { calls } = await withClient(flags, terminal, async (client) =>
        client.send<{ calls: ShownCall[] }>('GET', `${await agentPath(client, named)}/calls?${query}`),
      )
      if (asJson) return terminal.out(json(calls))
      if (calls.length === 0) return terminal.err('no matching ledger entries')
      printTable(calls.map(rowOf), terminal, ['CALL', 'STARTED', 'STATE', 'TARGET', 'COST', 'REMARK'])
    },
  })

function rowOf(call: ShownCall): string[] {
  const { id, started_at, state, kind, target, model, cost_usd, held_usd, code, corrects, reason } = call
  const isSettled = state === 'charged' || state === 'released'
  return [
    id,
    started_at,
    kind === 'correction' ? kind : state,
    model ?? target,
    isSettled ? showExactUsd(cost_usd) : `${showExactUsd(held_usd)} held`,
    corrects ? `of ${corrects}: ${reason}` : (code ?? ''),
  ]
}
