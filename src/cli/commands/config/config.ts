import { type CliCommand, group } from '../../command.ts'
import { checkCommand } from './check.ts'
import { initCommand } from './init.ts'
import { showCommand } from './show.ts'
import { trustConfigCommand } from './trust.ts'

export const configCommand: CliCommand = (terminal, line) =>
  group(
    'config',
    'Show, check or create the configuration',
    [showCommand, checkCommand, initCommand, trustConfigCommand],
    terminal,
    line,
  )
