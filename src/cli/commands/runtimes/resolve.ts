import { Command } from '@commander-js/extra-typings'
import { showUsd } from '../../../core/money.ts'
import { pathSegment } from '../../client/path-segment.ts'
import { type CliCommand, examples } from '../../command.ts'
import { parseCost } from '../budget/balance.ts'
import { connectToPanel } from './panel-client.ts'

export const resolveCommand: CliCommand = (terminal) =>
  new Command('resolve')
    .description('Say what was spent of a lease whose machine is gone; the rest is free again')
    .argument('<lease>', 'The lease, as "runtimes list" shows it')
    .requiredOption('--spent <usd>', 'What the provider billed of it: 0.00 for nothing')
    .requiredOption('--reason <text>', 'Why, for the audit')
    .option('--above-lent', 'Accept more than was lent: its calls cost more than they held')
    .addHelpText(
      'after',
      examples(['runtimes resolve lease-5f0c2b9e41d3-1-0 --spent 0.04 --reason "usage export of 12 May"', '']),
    )
    .action(async (lease, { spent, reason, aboveLent: above_lent }) => {
      const spent_usd = parseCost(spent, '--spent')
      const path = `/api/fleet/leases/${pathSegment(lease)}/resolve`
      await connectToPanel(terminal).send('POST', path, { spent_usd, reason, above_lent })
      terminal.out(`${lease} is closed with ${showUsd(spent_usd)} spent`)
    })
