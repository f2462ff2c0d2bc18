import { type CliCommand, group } from '../../command.ts'
import { listCommand } from './list.ts'
import { trustCommand } from './trust.ts'

export const modelsCommand: CliCommand = (terminal) =>
  group('models', 'Which models respect the limits of their calls', [listCommand, trustCommand], terminal)
