import { CageError } from '../../core/errors.ts'
import { PII, type PiiType } from '../../core/pii-types.ts'
import type { IncidentRow } from '../../db/tables/incidents.ts'
import { printable } from '../../log/printable.ts'
import { AGENT_HELP, resolveAgentId } from '../client/agent-id.ts'
import type { ApiClient } from '../client/client.ts'
import { withClient } from '../client/offline-client.ts'
import { pathSegment } from '../client/path-segment.ts'
import { type CliCommand, command } from '../command.ts'
import { json, printTable } from '../output/print.ts'
import type { Terminal } from '../output/terminal.ts'
import { withDatabase } from '../settings/flags.ts'

export const incidentsCommand: CliCommand = (terminal) =>
  command({
    command: 'incidents',
    describe: 'List where personal data was found; the data itself is shown one incident at a time',
    builder: (yargs) =>
      withDatabase(yargs)
        .option('agent', { type: 'string', requiresArg: true, describe: `Of one agent only. ${AGENT_HELP}` })
        .option('reveal', {
          type: 'string',
          describe: 'Show the data that this incident found; this is recorded in the audit',
        })
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([
          ['$0 incidents --agent lg-7a3f9c2d', 'of one agent'],
          ['$0 incidents --reveal pii-0a1b2c3d4e5f', 'the data that was found'],
        ]),
    handler: async ({ agent, reveal, json: asJson, ...flags }) => {
      if (reveal === '') {
        throw new CageError('usage', '--reveal needs the id of an incident', {
          hint: '"iron-cage incidents" lists them; then "iron-cage incidents --reveal pii-0a1b2c3d4e5f"',
        })
      }
      const print = (client: ApiClient) =>
        reveal === undefined ? list(client, agent, asJson, terminal) : show(client, reveal, asJson, terminal)
      await withClient(flags, terminal, print, { opensVault: reveal !== undefined })
    },
  })

async function show(client: ApiClient, id: string, asJson: boolean | undefined, terminal: Terminal): Promise<void> {
  const path = `/api/pii/incidents/${pathSegment(id)}/original`
  const found = await client.send<{ id: string; original: string }>('GET', path)
  terminal.out(asJson ? json(found) : printable(found.original))
}

async function list(client: ApiClient, agent: string | undefined, asJson: boolean | undefined, terminal: Terminal) {
  const query = new URLSearchParams({
    limit: '1000',
    ...(agent !== undefined && { agent_id: await resolveAgentId(client, agent) }),
  })
  const { incidents } = await client.send<{ incidents: IncidentRow[] }>('GET', `/api/pii/incidents?${query}`)
  if (asJson) return terminal.out(json(incidents))
  if (incidents.length === 0) return terminal.err('no personal data was found')
  printTable([HEADER, ...incidents.map(rowOf)], terminal)
}

const HEADER = ['ID', 'TIME', 'AGENT', 'TYPE', 'RISK', 'ACTION', 'PLACE', 'OFFSETS', 'SAME AS', 'ORIGINAL']

/** SAME AS: the start of the value's hash, which is enough to recognize equal values. */
const rowOf = (row: IncidentRow): string[] => [
  row.id,
  row.at,
  row.agent_id,
  row.type.toUpperCase(),
  PII[row.type as PiiType].risk,
  row.action,
  row.place.replace('_', ' '),
  `${row.start}–${row.end}`,
  row.value_hash.slice(0, 8),
  row.original.replace('_', ' '),
]
