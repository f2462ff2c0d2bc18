import { requirePlausiblePrices } from '../budget/price-jumps.ts'
import { systemClock } from '../clock.ts'
import { shownLeaves } from '../config/config.ts'
import { InvalidConfigError } from '../config/problems.ts'
import { writeConfigFile } from './config-init.ts'
import { loadFlags, withAgentFlags } from './flags.ts'
import { json, table } from './print.ts'
import type { Command } from './terminal.ts'

export const configCommand: Command = (yargs, terminal) =>
  yargs.command('config', 'Look at the configuration', (config) =>
    config
      .command(
        'show',
        'Show each value and where it comes from: flag, variable, file and line, or default',
        (command) =>
          withAgentFlags(command)
            .option('json', { type: 'boolean', describe: 'Write JSON' })
            .example('$0 config show --budget 50', 'what a start with this flag would use'),
        ({ json: asJson, ...flags }) => {
          const loaded = loadFlags(flags, terminal)
          const values = shownLeaves(loaded)
          if (asJson) return terminal.out(json({ file: loaded.file, values }))
          for (const line of table(values.map(({ key, value, origin }) => [key, shown(value), `(${origin})`]))) {
            terminal.out(line)
          }
        },
      )
      .command(
        'check',
        'Check the configuration; exits 2 and names every problem when something is wrong',
        (command) =>
          withAgentFlags(command)
            .option('json', { type: 'boolean', describe: 'Write JSON' })
            .example('$0 config check --config iron-cage.toml', 'check a file before it is used'),
        async ({ json: asJson, ...flags }) => {
          try {
            const { config, origins, file } = loadFlags(flags, terminal)
            await requirePlausiblePrices(config, (key) => origins[key] ?? 'default', systemClock.now())
            terminal.out(asJson ? json({ ok: true, file, problems: [] }) : `ok: ${file ?? 'no file, defaults only'}`)
          } catch (error) {
            if (asJson && error instanceof InvalidConfigError) {
              terminal.out(json({ ok: false, problems: error.problems }))
            }
            throw error
          }
        },
      )
      .command(
        'init',
        'Write a configuration file with comments; refuses when there is one',
        (command) => command.example('$0 config init && $0 config show', 'write it, then see what holds'),
        () => terminal.out(`wrote ${writeConfigFile(terminal.cwd)}; "iron-cage config show" tells what holds now`),
      )
      .demandCommand(1, 'config needs one of: show, check, init'),
  )

const shown = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))
