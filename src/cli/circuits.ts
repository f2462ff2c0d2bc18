import { showUsd } from '../money.ts'
import { type CircuitFigures, circuitFigures } from '../state/figures.ts'
import type { CircuitView } from '../state/snapshot.ts'
import { connect } from './client.ts'
import { withDatabaseFlags } from './flags.ts'
import { json, table } from './print.ts'
import type { SnapshotAnswer } from './status.ts'
import type { Command } from './terminal.ts'

export const circuitsCommand: Command = (yargs, terminal) =>
  yargs.command('circuits', 'Look at circuits, close one or open one', (group) =>
    group
      .command(
        'list',
        'List the circuits of providers, models and services',
        (command) => withDatabaseFlags(command).option('json', { type: 'boolean', describe: 'Write JSON' }),
        async ({ json: asJson, ...flags }) => {
          const client = connect(flags, terminal)
          const { snapshot, server_time } = await client.send<SnapshotAnswer>('GET', '/api/snapshot')
          const circuits = Object.values(snapshot.circuits).map((circuit) => ({
            ...circuit,
            ...circuitFigures(circuit, Date.parse(server_time)),
          }))
          if (asJson) return terminal.out(json(circuits))
          if (circuits.length === 0) return terminal.err('nothing has been called here yet')
          table([HEADER, ...circuits.map(rowOf)]).forEach(terminal.out)
        },
      )
      .command(...changeCommand('reset', 'Close a circuit at once', terminal))
      .command(...changeCommand('open', 'Open a circuit until it is reset: nothing is sent meanwhile', terminal))
      .demandCommand(1, 'a command is missing'),
  )

const changeCommand = (verb: 'reset' | 'open', describe: string, terminal: Parameters<Command>[1]) =>
  [
    `${verb} <name>`,
    describe,
    (command: Parameters<Command>[0]) =>
      withDatabaseFlags(command)
        .positional('name', { type: 'string', demandOption: true, describe: 'As "circuits list" lists it' })
        .option('json', { type: 'boolean', describe: 'Write JSON' })
        .example(`$0 circuits ${verb} linkedin_api`, 'of a service')
        .example(`$0 circuits ${verb} openai/gpt-4`, 'of one model of a provider'),
    async ({ name, json: asJson, ...flags }: { name: string; json?: boolean | undefined }) => {
      const client = connect(flags, terminal)
      const circuit = await client.send<CircuitView>('POST', `/api/circuits/${encodeURIComponent(name)}/${verb}`)
      terminal.out(asJson ? json(circuit) : `${name}  ${circuit?.state ?? 'closed'}`)
    },
  ] as const

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
