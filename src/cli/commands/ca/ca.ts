import { type CliCommand, group } from '../../command.ts'
import { showAuthorityCommand } from './show.ts'

export const caCommand: CliCommand = (terminal, line) =>
  group('ca', 'The certificate authority that agents of a server trust', [showAuthorityCommand], terminal, line)
