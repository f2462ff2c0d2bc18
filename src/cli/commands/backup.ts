import { resolve } from 'node:path'
import { backUp } from '../backup.ts'
import { type CliCommand, command } from '../command.ts'
import { json } from '../output/print.ts'
import { withDatabase } from '../settings/flags.ts'
import { readConfig } from '../settings/read-config.ts'

export const backupCommand: CliCommand = (terminal) =>
  command({
    command: 'backup <file>',
    describe: 'Copy the database and its keys to a new file and verify the copy; also while the server runs',
    builder: (yargs) =>
      withDatabase(yargs)
        .positional('file', { type: 'string', demandOption: true, describe: 'The file to write; must not exist yet' })
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([['$0 backup /backups/iron-cage-monday.db', '"restore" brings it back']]),
    handler: async ({ file, json: asJson, ...flags }) => {
      const { config } = await readConfig(flags, terminal)
      const copy = await backUp(config.db.path, resolve(terminal.cwd, file))
      if (asJson) return terminal.out(json(copy))
      terminal.out(`${copy.file}: ${copy.bytes} bytes, verified; ${copy.audit_rows} audit rows, unchanged`)
      terminal.out(`with it: ${copy.with.join(', ') || 'nothing'}; whoever has these files can read what is sealed`)
      terminal.out(`not in it: ${copy.not_in_it.join(', ')}`)
    },
  })
