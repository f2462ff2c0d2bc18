import { exportLines } from '../../../audit/export.ts'
import { readStore } from '../../../db/store.ts'
import { type CliCommand, command } from '../../command.ts'
import { withDatabase } from '../../settings/flags.ts'
import { databasePath } from './database-path.ts'

export const exportCommand: CliCommand = (terminal) =>
  command({
    command: 'export',
    describe: 'Print every row, with what is needed to verify them elsewhere (docs/audit.md)',
    builder: (yargs) =>
      withDatabase(yargs)
        .option('format', {
          type: 'string',
          requiresArg: true,
          describe: 'One JSON line per row',
          choices: ['jsonl'],
          default: 'jsonl',
        })
        .example([['$0 audit export > audit.jsonl', 'to keep elsewhere']]),
    handler: async ({ ...flags }) => {
      using store = readStore(databasePath(flags, terminal))
      for await (const line of exportLines(store.audit)) terminal.out(line)
    },
  })
