import { isShown } from '../log/level.ts'
import { textLine } from '../log/terminal-line.ts'
import { AGENT_HELP, agentIdOf } from './agent-id.ts'
import { connect } from './client.ts'
import { withDatabaseFlags } from './flags.ts'
import { eventsOf } from './follow.ts'
import { jsonLine } from './print.ts'
import type { Command } from './terminal.ts'

export const logsCommand: Command = (yargs, terminal) =>
  yargs.command(
    'logs <id>',
    'Show what an agent did and printed',
    (command) =>
      withDatabaseFlags(command)
        .positional('id', { type: 'string', demandOption: true, describe: AGENT_HELP })
        .option('follow', { alias: 'f', type: 'boolean', describe: 'Go on until the agent has ended' })
        .option('verbose', { type: 'boolean', describe: 'Show details as well' })
        .option('json', { type: 'boolean', describe: 'Write one JSON line per event' })
        .example('$0 logs lg-7a3f9c2d -f', 'watch it work'),
    async ({ id: named, follow, verbose, json: asJson, ...flags }) => {
      const client = connect(flags, terminal)
      const id = await agentIdOf(client, named)
      // Tells an unknown agent from one that has done nothing yet.
      await client.send('GET', `/api/agents/${encodeURIComponent(id)}/status`)
      for await (const event of eventsOf(client, id, follow === true)) {
        if (!isShown(event.level, verbose ? 'debug' : 'info')) continue
        terminal.out(asJson ? jsonLine(event) : textLine(event, terminal))
      }
    },
  )
