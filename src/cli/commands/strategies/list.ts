import { type CliCommand, command } from '../../command.ts'
import { loadStrategies } from '../../deploy/strategies.ts'
import { json, printTable } from '../../output/print.ts'
import { withConfig } from '../../settings/flags.ts'

export const listStrategiesCommand: CliCommand = (terminal) =>
  command({
    command: 'list',
    describe: 'List the strategies, the broken ones as well',
    builder: (yargs) =>
      withConfig(yargs)
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([['$0 strategies list', 'and what each one is']]),
    handler: ({ json: asJson, ...flags }) => {
      const { usable, broken } = loadStrategies(flags, terminal)
      if (asJson) {
        return terminal.out(
          json({
            strategies: usable.map(({ name, folder, summary, interface: how, provider }) => ({
              ...{ name, folder, summary, interface: how, provider },
            })),
            broken: broken.map(({ name, folder, error }) => ({ name, folder, error: error.message })),
          }),
        )
      }
      printTable([['STRATEGY', 'WHAT IT IS'], ...usable.map(({ name, summary }) => [name, oneLine(summary)])], terminal)
      for (const { error } of broken) terminal.err(error.message)
    },
  })

const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ')
