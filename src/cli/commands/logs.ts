import type { RuntimeEvent } from '../../core/events.ts'
import { isShown } from '../../log/level.ts'
import { textLine } from '../../log/terminal-line.ts'
import { AGENT_HELP, resolveAgentId } from '../client/agent-id.ts'
import { withClient } from '../client/offline-client.ts'
import { pathSegment } from '../client/path-segment.ts'
import { type CliCommand, command } from '../command.ts'
import { jsonLine } from '../output/print.ts'
import type { Terminal } from '../output/terminal.ts'
import { withDatabase } from '../settings/flags.ts'
import { eventsOf } from '../start/follow.ts'

export const logsCommand: CliCommand = (terminal) =>
  command({
    command: 'logs <id>',
    describe: 'Show the events and the output of an agent',
    builder: (yargs) =>
      withDatabase(yargs)
        .positional('id', { type: 'string', demandOption: true, describe: AGENT_HELP })
        .option('follow', { alias: 'f', type: 'boolean', describe: 'Keep going until the agent has ended' })
        .option('verbose', { type: 'boolean', describe: 'Show details as well' })
        .option('json', { type: 'boolean', describe: 'Print one JSON line per event' })
        .example([['$0 logs lg-7a3f9c2d -f', 'watch it work']]),
    handler: ({ id: named, ...flags }) =>
      withClient(flags, terminal, async (client) => {
        const id = await resolveAgentId(client, named)
        // Without this an unknown agent would look like one that has done nothing yet.
        await client.send('GET', `/api/agents/${pathSegment(id)}/status`)
        return printLogs(eventsOf(client, id, flags.follow === true && client.file === undefined), flags, terminal)
      }),
  })

export interface LogFlags {
  verbose?: boolean | undefined
  json?: boolean | undefined
}

/** Prints the events of an agent. */
export async function printLogs(
  events: AsyncIterable<RuntimeEvent>,
  { verbose, json: asJson }: LogFlags,
  terminal: Terminal,
): Promise<void> {
  for await (const event of events) {
    if (!isShown(event.level, verbose ? 'debug' : 'info')) continue
    terminal.out(asJson ? jsonLine(event) : textLine(event, terminal))
  }
}
