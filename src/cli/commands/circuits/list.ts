import { showUsd } from '../../../money.ts'
import { type CircuitFigures, circuitFigures } from '../../../state/figures.ts'
import type { CircuitView } from '../../../state/snapshot.ts'
import { connect, type SnapshotResponse } from '../../client.ts'
import type { CliCommand } from '../../command.ts'
import { commandWithDatabase } from '../../flags.ts'
import { json, table } from '../../print.ts'

export const listCommand: CliCommand = (terminal) =>
  commandWithDatabase('list')
    .description('List the circuits of providers, models and services')
    .option('--json', 'Print JSON')
    .action(async ({ json: asJson, ...flags }) => {
      const client = connect(flags, terminal)
      const { snapshot, server_time } = await client.send<SnapshotResponse>('GET', '/api/snapshot')
      const circuits = Object.values(snapshot.circuits).map((circuit) => ({
        ...circuit,
        ...circuitFigures(circuit, Date.parse(server_time)),
      }))
      if (asJson) return terminal.out(json(circuits))
      if (circuits.length === 0) return terminal.err('nothing has been called here yet')
      table([HEADER, ...circuits.map(rowOf)]).forEach(terminal.out)
    })

const HEADER = ['CIRCUIT', 'STATE', 'NEXT TRY', 'TRIPS', 'LAST TRIP', 'BLOCKED', 'SAVED', 'FALLBACKS', 'REASON']

const rowOf = (circuit: CircuitView & CircuitFigures): string[] => [
  circuit.name,
  circuit.forced ? 'open (held)' : circuit.state.replace('_', ' '),
  circuit.countdown_s === null ? '-' : `in ${circuit.countdown_s} s`,
  String(circuit.trips),
  circuit.last_trip_at ?? '-',
  String(circuit.blocked),
  showUsd(circuit.saved_usd),
  circuit.fallback_success ?? '-',
  circuit.reason ?? '-',
]
