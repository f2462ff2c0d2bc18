import { type CliCommand, group } from '../../command.ts'
import { listModelsCommand } from './list.ts'
import { trustModelCommand } from './trust.ts'

export const modelsCommand: CliCommand = (terminal, line) =>
  group(
    'models',
    'Which models respect the limits of their calls',
    [listModelsCommand, trustModelCommand],
    terminal,
    line,
  )
