import { type CliCommand, group } from '../../command.ts'
import { exportCommand } from './export.ts'
import { verifyCommand } from './verify.ts'

/** Both read the database file itself, never a server: they report on the file and nothing else. */
export const auditCommand: CliCommand = (terminal, line) =>
  group('audit', 'Verify or export the record of who did what', [verifyCommand, exportCommand], terminal, line)
