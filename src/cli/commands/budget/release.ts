import { AGENT_HELP } from '../../client/agent-id.ts'
import { type CliCommand, examples } from '../../command.ts'
import { commandWithDatabase } from '../../settings/flags.ts'
import { CALL_HELP } from './balance.ts'
import { resolveCall } from './resolve-call.ts'

export const releaseCommand: CliCommand = (terminal) =>
  commandWithDatabase('release')
    .description('Release a call that a killed server left open: it cost nothing')
    .argument('<id>', AGENT_HELP)
    .argument('<call>', CALL_HELP)
    .option('--json', 'Print JSON')
    .addHelpText('after', examples(['budget release lg-7a3f9c2d call-19aa', 'it was never sent']))
    .action((named, call, flags) => resolveCall({ named, call, resolution: { outcome: 'released' } }, flags, terminal))
