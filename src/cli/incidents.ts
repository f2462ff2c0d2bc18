import type { IncidentRow } from '../db/incidents.ts'
import { connect } from './client.ts'
import { withDatabaseFlags } from './flags.ts'
import { json, table } from './print.ts'
import type { Command } from './terminal.ts'

export const incidentsCommand: Command = (yargs, terminal) =>
  yargs.command(
    'incidents',
    'List what personal data was found, never the data itself',
    (command) =>
      withDatabaseFlags(command)
        .option('agent', { type: 'string', requiresArg: true, describe: 'Only of this agent' })
        .option('json', { type: 'boolean', describe: 'Write JSON' })
        .example('$0 incidents --agent lg-7a3f9c2d', 'of one agent'),
    async ({ agent, json: asJson, ...flags }) => {
      const query = new URLSearchParams({ limit: '1000', ...(agent !== undefined && { agent_id: agent }) })
      const client = connect(flags, terminal)
      const { incidents } = await client.send<{ incidents: IncidentRow[] }>('GET', `/api/pii/incidents?${query}`)
      if (asJson) return terminal.out(json(incidents))
      if (incidents.length === 0) return terminal.err('no personal data was found')
      table([HEADER, ...incidents.map(rowOf)]).forEach(terminal.out)
    },
  )

const HEADER = ['TIME', 'AGENT', 'TYPE', 'SEVERITY', 'ACTION', 'PLACE', 'OFFSETS', 'SAME AS', 'ORIGINAL']

/** The same value has the same hash; its beginning is enough to see that. */
const rowOf = (row: IncidentRow): string[] => [
  row.at,
  row.agent_id,
  row.type.toUpperCase(),
  row.severity,
  row.action,
  row.place.replace('_', ' '),
  `${row.start}–${row.end}`,
  row.value_hash.slice(0, 8),
  row.original.replace('_', ' '),
]
