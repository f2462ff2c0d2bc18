import { showUsd } from '../../../core/money.ts'
import { pathSegment } from '../../client/path-segment.ts'
import { type CliCommand, command } from '../../command.ts'
import { parseCost } from '../budget/balance.ts'
import { connectToPanel } from './panel-client.ts'

export const resolveCommand: CliCommand = (terminal) =>
  command({
    command: 'resolve <lease>',
    describe: 'Say what was spent of a lease whose machine is gone; the rest is free again',
    builder: (yargs) =>
      yargs
        .positional('lease', { type: 'string', demandOption: true, describe: 'The lease, as "runtimes list" shows it' })
        .option('spent', {
          type: 'string',
          requiresArg: true,
          describe: 'What the provider billed of it: 0.00 for nothing',
          demandOption: true,
        })
        .option('reason', { type: 'string', requiresArg: true, describe: 'Why, for the audit', demandOption: true })
        .option('above-lent', {
          type: 'boolean',
          describe: 'Accept more than was lent: its calls cost more than they held',
        })
        .example([['$0 runtimes resolve lease-5f0c2b9e41d3-1-0 --spent 0.04 --reason "usage export of 12 May"', '']]),
    handler: async ({ lease, spent, reason, aboveLent: above_lent }) => {
      const spent_usd = parseCost(spent, '--spent')
      const path = `/api/fleet/leases/${pathSegment(lease)}/resolve`
      await connectToPanel(terminal).send('POST', path, { spent_usd, reason, above_lent })
      terminal.out(`${lease} is closed with ${showUsd(spent_usd)} spent`)
    },
  })
