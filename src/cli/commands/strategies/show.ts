import { requireStrategy } from '../../../deploy/strategies.ts'
import { type CliCommand, command } from '../../command.ts'
import { loadStrategies } from '../../deploy/strategies.ts'
import { json } from '../../output/print.ts'
import { withConfig } from '../../settings/flags.ts'

export const showStrategyCommand: CliCommand = (terminal) =>
  command({
    command: 'show <name>',
    describe: 'Show when a strategy fits and how it deploys an agent',
    builder: (yargs) =>
      withConfig(yargs)
        .positional('name', { type: 'string', demandOption: true, describe: 'The strategy' })
        .option('json', { type: 'boolean', describe: 'Print JSON, with what was read from its files' })
        .example([['$0 strategies show docker', 'its two instructions']]),
    handler: ({ name, json: asJson, ...flags }) => {
      const strategy = requireStrategy(loadStrategies(flags, terminal), name)
      terminal.out(
        asJson ? json(strategy) : `${strategy.selectorInstruction.trim()}\n\n${strategy.adapterInstruction.trim()}`,
      )
    },
  })
