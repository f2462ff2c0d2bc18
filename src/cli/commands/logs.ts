import { isShown } from '../../log/level.ts'
import { textLine } from '../../log/terminal-line.ts'
import { AGENT_HELP, resolveAgentId } from '../agent-id.ts'
import type { ApiClient } from '../client.ts'
import { type CliCommand, examples } from '../command.ts'
import { commandWithDatabase } from '../flags.ts'
import { eventsOf } from '../follow.ts'
import { withClient } from '../offline-client.ts'
import { jsonLine } from '../print.ts'
import type { Terminal } from '../terminal.ts'

export const logsCommand: CliCommand = (terminal) =>
  commandWithDatabase('logs')
    .description('Show the events and the output of an agent')
    .argument('<id>', AGENT_HELP)
    .option('-f, --follow', 'Keep going until the agent has ended')
    .option('--verbose', 'Show details as well')
    .option('--json', 'Print one JSON line per event')
    .addHelpText('after', examples(['logs lg-7a3f9c2d -f', 'watch it work']))
    .action((named, flags) =>
      withClient(flags, terminal, async (client) =>
        printLogs(client, await resolveAgentId(client, named), flags, terminal),
      ),
    )

export interface LogFlags {
  follow?: true
  verbose?: true
  json?: true
}

/** Prints the events of an agent. Throws CageError `not_found`. */
export async function printLogs(
  client: ApiClient,
  id: string,
  { follow, verbose, json: asJson }: LogFlags,
  terminal: Terminal,
): Promise<void> {
  // Without this an unknown agent would look like one that has done nothing yet.
  await client.send('GET', `/api/agents/${encodeURIComponent(id)}/status`)
  for await (const event of eventsOf(client, id, follow === true && client.file === undefined)) {
    if (!isShown(event.level, verbose ? 'debug' : 'info')) continue
    terminal.out(asJson ? jsonLine(event) : textLine(event, terminal))
  }
}
