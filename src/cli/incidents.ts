import type { IncidentRow } from '../db/incidents.ts'
import { CageError } from '../errors.ts'
import { printable } from '../log/printable.ts'
import { AGENT_HELP, agentIdOf } from './agent-id.ts'
import { connect } from './client.ts'
import { withDatabaseFlags } from './flags.ts'
import { json, table } from './print.ts'
import type { Command } from './terminal.ts'

export const incidentsCommand: Command = (yargs, terminal) =>
  yargs.command(
    'incidents',
    'List what personal data was found; the data itself only one by one',
    (command) =>
      withDatabaseFlags(command)
        .option('agent', { type: 'string', requiresArg: true, describe: `Only of one. ${AGENT_HELP}` })
        .option('reveal', { type: 'string', describe: 'Show what the incident of this id found; the audit tells' })
        .option('json', { type: 'boolean', describe: 'Write JSON' })
        .example('$0 incidents --agent lg-7a3f9c2d', 'of one agent')
        .example('$0 incidents --reveal pii-0a1b2c3d4e5f', 'what it was'),
    async ({ agent, reveal, json: asJson, ...flags }) => {
      if (reveal === '') {
        throw new CageError('usage', '--reveal needs the id of an incident', {
          hint: '"iron-cage incidents" lists them; then "iron-cage incidents --reveal pii-0a1b2c3d4e5f"',
        })
      }
      const client = connect(flags, terminal)
      if (reveal !== undefined) {
        const path = `/api/pii/incidents/${encodeURIComponent(reveal)}/original`
        const found = await client.send<{ id: string; original: string }>('GET', path)
        return terminal.out(asJson ? json(found) : printable(found.original))
      }
      const query = new URLSearchParams({
        limit: '1000',
        ...(agent !== undefined && { agent_id: await agentIdOf(client, agent) }),
      })
      const { incidents } = await client.send<{ incidents: IncidentRow[] }>('GET', `/api/pii/incidents?${query}`)
      if (asJson) return terminal.out(json(incidents))
      if (incidents.length === 0) return terminal.err('no personal data was found')
      table([HEADER, ...incidents.map(rowOf)]).forEach(terminal.out)
    },
  )

const HEADER = ['ID', 'TIME', 'AGENT', 'TYPE', 'SEVERITY', 'ACTION', 'PLACE', 'OFFSETS', 'SAME AS', 'ORIGINAL']

/** The same value has the same hash; its beginning is enough to see that. */
const rowOf = (row: IncidentRow): string[] => [
  row.id,
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
