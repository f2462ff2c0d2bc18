import { AGENT_HELP } from '../../client/agent-id.ts'
import { type CliCommand, command } from '../../command.ts'
import { withDatabase } from '../../settings/flags.ts'
import { CALL_HELP } from './balance.ts'
import { resolveCall } from './resolve-call.ts'

export const releaseCommand: CliCommand = (terminal) =>
  command({
    command: 'release <id> <call>',
    describe: 'Release a call that a killed server left open: it cost nothing',
    builder: (yargs) =>
      withDatabase(yargs)
        .positional('id', { type: 'string', demandOption: true, describe: AGENT_HELP })
        .positional('call', { type: 'string', demandOption: true, describe: CALL_HELP })
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([['$0 budget release lg-7a3f9c2d call-19aa', 'it was never sent']]),
    handler: ({ id: named, call, ...flags }) =>
      resolveCall({ named, call, resolution: { outcome: 'released' } }, flags, terminal),
  })
