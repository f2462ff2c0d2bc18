import { Option } from '@commander-js/extra-typings'
import { showExactUsd } from '../../../core/money.ts'
import type { ShownCall } from '../../../state/call-view.ts'
import { AGENT_HELP } from '../../client/agent-id.ts'
import { withClient } from '../../client/offline-client.ts'
import { type CliCommand, examples } from '../../command.ts'
import { json, printTable } from '../../output/print.ts'
import { commandWithDatabase } from '../../settings/flags.ts'
import { agentPath } from './balance.ts'

export const callsCommand: CliCommand = (terminal) =>
  commandWithDatabase('calls')
    .description('List ledger entries, newest first')
    .argument('<id>', AGENT_HELP)
    .addOption(
      new Option('--state <state>', 'Only entries in this state').choices([
        'held',
        'charged',
        'released',
        'unresolved',
      ]),
    )
    .addOption(
      new Option('--kind <kind>', 'Only entries of this kind').choices(['llm', 'service', 'reported', 'correction']),
    )
    .option('--from <time>', 'Started at this time or later: 2026-01-02')
    .option('--to <time>', 'Started before this time')
    .option('--limit <count>', 'How many at most (default: 100)')
    .option('--json', 'Print JSON')
    .addHelpText('after', examples(['budget calls lg-7a3f9c2d --state unresolved', 'what a killed server left open']))
    .action(async (named, { state, kind, from, to, limit, json: asJson, ...flags }) => {
      const given = Object.entries({ state, kind, from, to, limit }).filter(([, value]) => value !== undefined)
      const query = new URLSearchParams(given as [string, string][])
      const { calls } = await withClient(flags, terminal, async (client) =>
        client.send<{ calls: ShownCall[] }>('GET', `${await agentPath(client, named)}/calls?${query}`),
      )
      if (asJson) return terminal.out(json(calls))
      if (calls.length === 0) return terminal.err('no matching ledger entries')
      printTable(calls.map(rowOf), terminal, ['CALL', 'STARTED', 'STATE', 'TARGET', 'COST', 'REMARK'])
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
