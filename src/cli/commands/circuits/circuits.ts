import { type CliCommand, group } from '../../command.ts'
import { listCircuitsCommand } from './list.ts'
import { openCommand } from './open.ts'
import { resetCommand } from './reset.ts'

export const circuitsCommand: CliCommand = (terminal, line) =>
  group(
    'circuits',
    'List circuits, close or open one',
    [listCircuitsCommand, resetCommand, openCommand],
    terminal,
    line,
  )
