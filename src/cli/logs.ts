import { setTimeout as wait } from 'node:timers/promises'
import type { CageError } from '../errors.ts'
import type { RuntimeEvent } from '../events.ts'
import { isShown, textLine } from '../log.ts'
import { type Client, connect } from './client.ts'
import { withDatabaseFlags } from './flags.ts'
import type { Command } from './terminal.ts'

const PAGE = 500
/** How often a followed log is asked for more. */
const FOLLOW_MS = 250

export const logsCommand: Command = (yargs, terminal) =>
  yargs.command(
    'logs <id>',
    'Show what an agent did and printed',
    (command) =>
      withDatabaseFlags(command)
        .positional('id', { type: 'string', demandOption: true, describe: 'The agent, as "ps" lists it' })
        .option('follow', { alias: 'f', type: 'boolean', describe: 'Go on until the agent has ended' })
        .option('verbose', { type: 'boolean', describe: 'Show details as well' })
        .option('json', { type: 'boolean', describe: 'Write one JSON line per event' })
        .example('$0 logs lg-7a3f9c2d -f', 'watch it work'),
    async ({ id, follow, verbose, json: asJson, ...flags }) => {
      const client = connect(flags, terminal)
      // Tells an unknown agent from one that has done nothing yet.
      await client.send('GET', `/api/agents/${encodeURIComponent(id)}/status`)
      for await (const event of eventsOf(client, id, follow === true)) {
        if (!isShown(event.level, verbose ? 'debug' : 'info')) continue
        terminal.out(asJson ? JSON.stringify(event) : textLine(event, terminal))
      }
    },
  )

/** Stored events, and with `follow` those to come, until the agent or its server has ended. */
async function* eventsOf(client: Client, id: string, follow: boolean): AsyncGenerator<RuntimeEvent> {
  let after = 0
  let hasEnded = false
  for (;;) {
    const events = await nextPage(client, id, after).catch((error: CageError) => {
      if (after > 0 && error.code === 'server_unreachable') return undefined
      throw error
    })
    if (!events) return
    for (const event of events) {
      after = event.seq
      if (event.type === 'agent.exited') hasEnded = event.data.restart_in_ms === null
      if (event.type === 'agent.started') hasEnded = false
      yield event
    }
    if (events.length === PAGE) continue
    if (!follow || hasEnded) return
    await wait(FOLLOW_MS)
  }
}

async function nextPage(client: Client, id: string, after: number): Promise<RuntimeEvent[]> {
  const query = new URLSearchParams({ agent_id: id, after: String(after), limit: String(PAGE) })
  return (await client.send<{ events: RuntimeEvent[] }>('GET', `/api/events?${query}`)).events
}
