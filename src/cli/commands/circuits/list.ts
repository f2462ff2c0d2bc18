import { showUsd } from '../../../core/money.ts'
import { showDuration, showName } from '../../../core/units.ts'
import { cooldownLeftMs } from '../../../state/figures.ts'
import { fallbackSuccess } from '../../../state/figures-text.ts'
import type { CircuitView } from '../../../state/snapshot.ts'
import type { SnapshotResponse } from '../../client/client.ts'
import { withClient } from '../../client/offline-client.ts'
import { type CliCommand, command } from '../../command.ts'
import { json, printTable } from '../../output/print.ts'
import { withDatabase } from '../../settings/flags.ts'

export const listCircuitsCommand: CliCommand = (terminal) =>
  command({
    command: 'list',
    describe: 'List the circuits of providers, models and services',
    builder: (yargs) => withDatabase(yargs).option('json', { type: 'boolean', describe: 'Print JSON' }),
    handler: async ({ json: asJson, ...flags }) => {
      const { snapshot, server_time } = await withClient(flags, terminal, (client) =>
        client.send<SnapshotResponse>('GET', '/api/snapshot'),
      )
      const circuits = Object.values(snapshot.circuits).map((circuit) => ({
        ...circuit,
        countdown_s: countdownSeconds(circuit, Date.parse(server_time)),
        fallback_success: fallbackSuccess(circuit),
      }))
      if (asJson) return terminal.out(json(circuits))
      if (circuits.length === 0) return terminal.err('nothing has been called here yet')
      printTable([HEADER, ...circuits.map(rowOf)], terminal)
    },
  })

const HEADER = ['CIRCUIT', 'STATE', 'NEXT TRY', 'TRIPS', 'LAST TRIP', 'BLOCKED', 'SAVED', 'FALLBACKS', 'REASON']

interface ShownCircuit extends CircuitView {
  /** Null unless it is open and closes by itself. */
  countdown_s: number | null
  fallback_success: string | null
}

function countdownSeconds(circuit: CircuitView, nowMs: number): number | null {
  const leftMs = cooldownLeftMs(circuit, nowMs)
  return leftMs === null ? null : Math.ceil(leftMs / 1000)
}

const nextTry = (countdownS: number | null): string =>
  countdownS === null ? '-' : countdownS === 0 ? 'next call' : `in ${showDuration(countdownS * 1000)}`

const rowOf = (circuit: ShownCircuit): string[] => [
  circuit.name,
  circuit.forced ? 'open (held)' : showName(circuit.state),
  nextTry(circuit.countdown_s),
  String(circuit.trips),
  circuit.last_trip_at ?? '-',
  String(circuit.blocked),
  showUsd(circuit.saved_usd),
  circuit.fallback_success ?? '-',
  circuit.reason ?? '-',
]
