import { requireStrategy } from '../../../deploy/strategies.ts'
import { type CliCommand, examples } from '../../command.ts'
import { loadStrategies } from '../../deploy/strategies.ts'
import { json } from '../../output/print.ts'
import { commandWithConfig } from '../../settings/flags.ts'

export const showStrategyCommand: CliCommand = (terminal) =>
  commandWithConfig('show')
    .description('Show when a strategy fits and how it deploys an agent')
    .argument('<name>', 'The strategy')
    .option('--json', 'Print JSON, with what was read from its files')
    .addHelpText('after', examples(['strategies show docker', 'its two instructions']))
    .action((name, { json: asJson, ...flags }) => {
      const strategy = requireStrategy(loadStrategies(flags, terminal), name)
      terminal.out(
        asJson ? json(strategy) : `${strategy.selectorInstruction.trim()}\n\n${strategy.adapterInstruction.trim()}`,
      )
    })
