import { type CliCommand, group } from '../../command.ts'
import { checkEgressCommand } from './check.ts'
import { suggestCommand } from './suggest.ts'

export const egressCommand: CliCommand = (terminal, line) =>
  group('egress', 'Connections of agents to the outside', [suggestCommand, checkEgressCommand], terminal, line)
