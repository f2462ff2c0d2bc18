import { resolve } from 'node:path'
import { restore } from '../backup.ts'
import { type CliCommand, examples } from '../command.ts'
import { json } from '../output/print.ts'
import { commandWithDatabase } from '../settings/flags.ts'
import { readConfig } from '../settings/read-config.ts'

export const restoreCommand: CliCommand = (terminal) =>
  commandWithDatabase('restore')
    .description('Replace the database by a backup (the server must be stopped); what was replaced is kept')
    .argument('<file>', 'What "backup" wrote')
    .option('--json', 'Print JSON')
    .addHelpText('after', examples(['restore /backups/iron-cage-monday.db', '']))
    .action(async (file, { json: asJson, ...flags }) => {
      const { config } = await readConfig(flags, terminal)
      const restored = await restore(resolve(terminal.cwd, file), config.db.path)
      if (asJson) return terminal.out(json(restored))
      terminal.out(`${restored.file} is ${file}: ${restored.audit_rows} audit rows, unchanged`)
      if (restored.kept.length > 0) terminal.out(`kept: ${restored.kept.join(', ')}`)
    })
