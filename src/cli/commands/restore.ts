import { resolve } from 'node:path'
import { restore } from '../backup.ts'
import { type CliCommand, command } from '../command.ts'
import { json } from '../output/print.ts'
import { withDatabase } from '../settings/flags.ts'
import { readConfig } from '../settings/read-config.ts'

export const restoreCommand: CliCommand = (terminal) =>
  command({
    command: 'restore <file>',
    describe: 'Replace the database by a backup (the server must be stopped); what was replaced is kept',
    builder: (yargs) =>
      withDatabase(yargs)
        .positional('file', { type: 'string', demandOption: true, describe: 'What "backup" wrote' })
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([['$0 restore /backups/iron-cage-monday.db', '']]),
    handler: async ({ file, json: asJson, ...flags }) => {
      const { config } = await readConfig(flags, terminal)
      const restored = await restore(resolve(terminal.cwd, file), config.db.path)
      if (asJson) return terminal.out(json(restored))
      terminal.out(`${restored.file} is ${file}: ${restored.audit_rows} audit rows, unchanged`)
      if (restored.kept.length > 0) terminal.out(`kept: ${restored.kept.join(', ')}`)
    },
  })
