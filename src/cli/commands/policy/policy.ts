import { type CliCommand, group } from '../../command.ts'
import { clearPolicyCommand } from './clear.ts'
import { setPolicyCommand } from './set.ts'
import { showPolicyCommand } from './show.ts'

export const policyCommand: CliCommand = (terminal, line) =>
  group(
    'policy',
    'Manage the settings that every machine of the Control Panel at IRON_CAGE_URL must have',
    [showPolicyCommand, setPolicyCommand, clearPolicyCommand],
    terminal,
    line,
  )
