import { Command } from '@commander-js/extra-typings'
import { printable } from '../../../log/printable.ts'
import { showUsd } from '../../../money.ts'
import type { FleetView, RuntimeView } from '../../../panel/fleet-view.ts'
import { showAge } from '../../../units.ts'
import { type CliCommand, examples } from '../../command.ts'
import { json, printTable } from '../../print.ts'
import { connectToPanel } from './panel-client.ts'

export const listRuntimesCommand: CliCommand = (terminal) =>
  new Command('list')
    .description('List the machines that joined, and what they were lent')
    .option('--json', 'Print JSON')
    .addHelpText('after', examples(['runtimes list --json', 'with every lease']))
    .action(async ({ json: asJson }) => {
      const { runtimes, reconciling_until: until } = await connectToPanel(terminal).send<FleetView>('GET', '/api/fleet')
      if (asJson) return terminal.out(json(runtimes))
      printTable(runtimes.map(rowOf), terminal, ['RUNTIME', 'NAME', 'STATE', 'LAST SEEN', 'LENT'])
      for (const line of runtimes.flatMap(toResolve)) terminal.out(line)
      if (until)
        terminal.err(`nothing is lent until every machine was heard, or ${until}: the database lost its last commits`)
      if (runtimes.length === 0) terminal.err('no machine has joined yet; invite one with "iron-cage runtimes invite"')
    })

const rowOf = ({ id, name, state, lag_ms, lent_usd }: RuntimeView): string[] => [
  id,
  name,
  state,
  lag_ms === null ? 'never' : showAge(lag_ms),
  showUsd(lent_usd),
]

/** Leases that wait for a person, which "runtimes resolve" needs the ids of. */
const toResolve = ({ name, leases }: RuntimeView): string[] =>
  leases
    .filter(({ state }) => state === 'expired' || state === 'quarantined')
    .map(({ id, lent_usd }) => printable(`to resolve: ${id} of ${name}, ${showUsd(lent_usd)}`))
