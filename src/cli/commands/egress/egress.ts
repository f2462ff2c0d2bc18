import { type CliCommand, group } from '../../command.ts'
import { checkEgressCommand } from './check.ts'
import { suggestCommand } from './suggest.ts'

export const egressCommand: CliCommand = (terminal, line) =>
  group('egress', 'What agents reach outside', [suggestCommand, checkEgressCommand], terminal, line)
