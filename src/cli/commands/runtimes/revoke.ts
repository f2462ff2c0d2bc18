import { showUsd } from '../../../core/money.ts'
import type { FleetView } from '../../../panel/fleet-view.ts'
import { pathSegment } from '../../client/path-segment.ts'
import { type CliCommand, command } from '../../command.ts'
import { findRuntime, RUNTIME_HELP } from './find-runtime.ts'
import { connectToPanel } from './panel-client.ts'

export const revokeRuntimeCommand: CliCommand = (terminal) =>
  command({
    command: 'revoke <id>',
    describe: 'Stop a machine from spending, at once while it is connected; what it was lent stays lent',
    builder: (yargs) =>
      yargs
        .positional('id', { type: 'string', demandOption: true, describe: RUNTIME_HELP })
        .example([['$0 runtimes revoke runtime-5f0c2b9e41d3', '']]),
    handler: async ({ id: named }) => {
      const client = connectToPanel(terminal)
      const { id } = await findRuntime(client, named)
      await client.send('DELETE', `/api/fleet/runtimes/${pathSegment(id)}`)
      terminal.out(`${id} can no longer spend`)
      const { runtimes } = await client.send<FleetView>('GET', '/api/fleet')
      const runtime = runtimes.find((one) => one.id === id)
      if (!runtime || runtime.lent_usd === '0') return
      terminal.err(
        `${showUsd(runtime.lent_usd)} stays lent to it. When its leases have expired ("iron-cage runtimes list"), say what was spent:`,
      )
      for (const { id: lease, lent_usd } of runtime.leases) {
        if (lent_usd !== '0') terminal.err(`  iron-cage runtimes resolve ${lease} --spent <usd> --reason <text>`)
      }
    },
  })
