import { shownLeaves } from '../../../config/config.ts'
import { type CliCommand, examples } from '../../command.ts'
import { json, table } from '../../output/print.ts'
import { commandWithAgent } from '../../settings/flags.ts'
import { loadServerFlags } from '../../settings/server-flags.ts'

export const showCommand: CliCommand = (terminal) =>
  commandWithAgent('show')
    .description('Show each value and where it comes from: flag, variable, file and line, Control Panel, or default')
    .option('--json', 'Print JSON')
    .addHelpText('after', examples(['config show --budget 50', 'what a start with this flag would use']))
    .action(({ json: asJson, ...flags }) => {
      const loaded = loadServerFlags(flags, terminal)
      const values = shownLeaves(loaded)
      if (asJson) return terminal.out(json({ file: loaded.file, values }))
      const rows = values.map(({ key, value, origin }) => [key, shown(value), `(${origin})`])
      for (const line of table(rows)) terminal.out(line)
    })

const shown = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))
