import { Command } from '@commander-js/extra-typings'
import { showUsd } from '../../../money.ts'
import type { FleetView } from '../../../panel/fleet-view.ts'
import { type CliCommand, examples } from '../../command.ts'
import { pathSegment } from '../../path-segment.ts'
import { connectToPanel } from './panel-client.ts'

export const revokeRuntimeCommand: CliCommand = (terminal) =>
  new Command('revoke')
    .description('Stop a machine from spending, at once while it is connected; what it was lent stays lent')
    .argument('<id>', 'The runtime, as "runtimes list" shows it')
    .addHelpText('after', examples(['runtimes revoke runtime-5f0c2b9e41d3', '']))
    .action(async (id) => {
      const client = connectToPanel(terminal)
      await client.send('DELETE', `/api/fleet/runtimes/${pathSegment(id)}`)
      terminal.out(`${id} may not spend any more`)
      const { runtimes } = await client.send<FleetView>('GET', '/api/fleet')
      const runtime = runtimes.find((one) => one.id === id)
      if (!runtime || runtime.lent_usd === '0') return
      terminal.err(
        `${showUsd(runtime.lent_usd)} stay lent to it until somebody says what was spent, once its leases are expired ("iron-cage runtimes list"):`,
      )
      for (const { id: lease, lent_usd } of runtime.leases) {
        if (lent_usd !== '0') terminal.err(`  iron-cage runtimes resolve ${lease} --spent <usd> --reason <text>`)
      }
    })
