import { shownLeaves } from '../../../config/config.ts'
import { type CliCommand, command } from '../../command.ts'
import { json, table } from '../../output/print.ts'
import { withAgent } from '../../settings/flags.ts'
import { loadServerFlags } from '../../settings/server-flags.ts'

export const showCommand: CliCommand = (terminal) =>
  command({
    command: 'show',
    describe: 'Show each value and where it comes from: flag, variable, file and line, Control Panel, or default',
    builder: (yargs) =>
      withAgent(yargs)
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([['$0 config show --budget 50', 'what a start with this flag would use']]),
    handler: ({ json: asJson, ...flags }) => {
      const loaded = loadServerFlags(flags, terminal)
      const values = shownLeaves(loaded)
      if (asJson) return terminal.out(json({ file: loaded.file, values }))
      const rows = values.map(({ key, value, origin }) => [key, shown(value), `(${origin})`])
      for (const line of table(rows)) terminal.out(line)
    },
  })

const shown = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))
