import { Option } from '@commander-js/extra-typings'
import { exportLines } from '../../../audit/export.ts'
import { readStore } from '../../../db/store.ts'
import { type CliCommand, examples } from '../../command.ts'
import { commandWithDatabase } from '../../settings/flags.ts'
import { databasePath } from './database-path.ts'

export const exportCommand: CliCommand = (terminal) =>
  commandWithDatabase('export')
    .description('Print every row, with what is needed to verify them elsewhere (docs/audit.md)')
    .addOption(new Option('--format <format>', 'One JSON line per row').choices(['jsonl']).default('jsonl'))
    .addHelpText('after', examples(['audit export > audit.jsonl', 'to keep elsewhere']))
    .action(async (flags) => {
      using store = readStore(databasePath(flags, terminal))
      for await (const line of exportLines(store.audit)) terminal.out(line)
    })
