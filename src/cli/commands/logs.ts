import { isShown } from '../../log/level.ts'
import { textLine } from '../../log/terminal-line.ts'
import { AGENT_HELP, resolveAgentId } from '../agent-id.ts'
import { type CliCommand, examples } from '../command.ts'
import { commandWithDatabase } from '../flags.ts'
import { eventsOf } from '../follow.ts'
import { withClient } from '../offline-client.ts'
import { jsonLine } from '../print.ts'

export const logsCommand: CliCommand = (terminal) =>
  commandWithDatabase('logs')
    .description('Show the events and the output of an agent')
    .argument('<id>', AGENT_HELP)
    .option('-f, --follow', 'Keep going until the agent has ended')
    .option('--verbose', 'Show details as well')
    .option('--json', 'Print one JSON line per event')
    .addHelpText('after', examples(['logs lg-7a3f9c2d -f', 'watch it work']))
    .action((named, { follow, verbose, json: asJson, ...flags }) =>
      withClient(flags, terminal, async (client) => {
        const id = await resolveAgentId(client, named)
        // Without this an unknown agent would look like one that has done nothing yet.
        await client.send('GET', `/api/agents/${encodeURIComponent(id)}/status`)
        for await (const event of eventsOf(client, id, follow === true && client.file === undefined)) {
          if (!isShown(event.level, verbose ? 'debug' : 'info')) continue
          terminal.out(asJson ? jsonLine(event) : textLine(event, terminal))
        }
      }),
    )
