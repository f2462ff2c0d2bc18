import { AGENT_HELP } from '../../client/agent-id.ts'
import { type CliCommand, command } from '../../command.ts'
import { withDatabase } from '../../settings/flags.ts'
import { CALL_HELP, parseCost } from './balance.ts'
import { resolveCall } from './resolve-call.ts'

export const chargeCommand: CliCommand = (terminal) =>
  command({
    command: 'charge <id> <call> [usd]',
    describe: 'Charge a call that a killed server left open: what it cost, or all that is held',
    builder: (yargs) =>
      withDatabase(yargs)
        .positional('id', { type: 'string', demandOption: true, describe: AGENT_HELP })
        .positional('call', { type: 'string', demandOption: true, describe: CALL_HELP })
        .positional('usd', { type: 'string', describe: 'US dollars (default: what is held)' })
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([['$0 budget charge lg-7a3f9c2d call-19aa', 'all that is held for it']]),
    handler: ({ id: named, call, usd, ...flags }) => {
      const cost_usd = usd === undefined ? undefined : parseCost(usd, 'the cost')
      return resolveCall({ named, call, resolution: { outcome: 'charged', cost_usd } }, flags, terminal)
    },
  })
