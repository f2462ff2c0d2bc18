import { AGENT_HELP } from '../../client/agent-id.ts'
import { type CliCommand, examples } from '../../command.ts'
import { commandWithDatabase } from '../../settings/flags.ts'
import { CALL_HELP, parseCost } from './balance.ts'
import { resolveCall } from './resolve-call.ts'

export const chargeCommand: CliCommand = (terminal) =>
  commandWithDatabase('charge')
    .description('Charge a call that a killed server left open: what it cost, or all that is held')
    .argument('<id>', AGENT_HELP)
    .argument('<call>', CALL_HELP)
    .argument('[usd]', 'US dollars (default: what is held)')
    .option('--json', 'Print JSON')
    .addHelpText('after', examples(['budget charge lg-7a3f9c2d call-19aa', 'all that is held for it']))
    .action((named, call, usd, flags) => {
      const cost_usd = usd === undefined ? undefined : parseCost(usd, 'the cost')
      return resolveCall({ named, call, resolution: { outcome: 'charged', cost_usd } }, flags, terminal)
    })
