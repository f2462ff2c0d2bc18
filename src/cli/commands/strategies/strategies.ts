import { type CliCommand, group } from '../../command.ts'
import { checkStrategiesCommand } from './check.ts'
import { listStrategiesCommand } from './list.ts'
import { showStrategyCommand } from './show.ts'

export const strategiesCommand: CliCommand = (terminal, line) =>
  group(
    'strategies',
    'Ways to deploy an agent: ours, and folders of your own in strategies/',
    [listStrategiesCommand, showStrategyCommand, checkStrategiesCommand],
    terminal,
    line,
  )
