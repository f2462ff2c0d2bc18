import { resolve } from 'node:path'
import { backUp } from '../backup.ts'
import { type CliCommand, examples } from '../command.ts'
import { json } from '../output/print.ts'
import { commandWithDatabase } from '../settings/flags.ts'
import { readConfig } from '../settings/read-config.ts'

export const backupCommand: CliCommand = (terminal) =>
  commandWithDatabase('backup')
    .description('Copy the database and its keys to a new file and verify the copy; also while the server runs')
    .argument('<file>', 'The file to write; must not exist yet')
    .option('--json', 'Print JSON')
    .addHelpText('after', examples(['backup /backups/iron-cage-monday.db', '"restore" brings it back']))
    .action(async (file, { json: asJson, ...flags }) => {
      const { config } = await readConfig(flags, terminal)
      const copy = await backUp(config.db.path, resolve(terminal.cwd, file))
      if (asJson) return terminal.out(json(copy))
      terminal.out(`${copy.file}: ${copy.bytes} bytes, verified; ${copy.audit_rows} audit rows, unchanged`)
      terminal.out(`with it: ${copy.with.join(', ') || 'nothing'}; whoever has these files can read what is sealed`)
      terminal.out(`not in it: ${copy.not_in_it.join(', ')}`)
    })
