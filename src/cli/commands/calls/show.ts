import { showUsd } from '../../../core/money.ts'
import { showCount, showName } from '../../../core/units.ts'
import { type CallDetail, tokensOf } from '../../../state/call-view.ts'
import { withClient } from '../../client/offline-client.ts'
import { pathSegment } from '../../client/path-segment.ts'
import { type CliCommand, command } from '../../command.ts'
import { json, type TreeEntry, tree } from '../../output/print.ts'
import { withDatabase } from '../../settings/flags.ts'

export const showCommand: CliCommand = (terminal) =>
  command({
    command: 'show <call>',
    describe: 'Show one call: what it cost, and what was recorded about it',
    builder: (yargs) =>
      withDatabase(yargs)
        .positional('call', { type: 'string', demandOption: true, describe: 'The call, as "calls" lists it' })
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([['$0 calls show call-19b7ef0a1c20000a1b2c3', 'one call in full']]),
    handler: async ({ call: id, ...flags }) => {
      const detail = await withClient(flags, terminal, (client) =>
        client.send<CallDetail>('GET', `/api/calls/${pathSegment(id)}`),
      )
      if (flags.json) return terminal.out(json(detail))
      callLines(detail).forEach(terminal.out)
    },
  })

/** The basis of an estimate, where the row has it. */
function basisOf({ price }: CallDetail['call']): string {
  const { charged } = (price ?? {}) as { charged?: unknown }
  return typeof charged === 'string' ? `: ${charged}` : ''
}

function callLines({ call, corrections, events }: CallDetail): string[] {
  const tokens = tokensOf(call)
  const outcome = [showName(call.state), call.status, call.code].filter((part) => part !== null)
  return tree(call.id, [
    ['agent', call.agent_id],
    ['to', call.model === null ? call.target : `${call.target} ${call.model}`],
    ['unit', call.unit],
    ['outcome', outcome.join(', ')],
    ['held', showUsd(call.held_usd)],
    ['cost', `${showUsd(call.cost_usd)}${call.estimated ? ` (estimated${basisOf(call)})` : ''}`],
    ...corrections.map((row): TreeEntry => ['corrected', `by ${showUsd(row.cost_usd)}: ${row.reason}`]),
    ['tokens', tokens ? `${showCount(tokens.input)} in, ${showCount(tokens.output)} out` : null],
    ['started', call.started_at],
    ['ended', call.ended_at],
    ...events.map((event, index): TreeEntry => [index === 0 ? 'events' : '', `${event.at}  ${event.message}`]),
  ])
}
