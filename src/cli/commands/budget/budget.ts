import { type CliCommand, group } from '../../command.ts'
import { addCommand } from './add.ts'
import { callsCommand } from './calls.ts'
import { chargeCommand } from './charge.ts'
import { correctCommand } from './correct.ts'
import { getCommand } from './get.ts'
import { releaseCommand } from './release.ts'
import { setCommand } from './set.ts'

export const budgetCommand: CliCommand = (terminal) =>
  group(
    'budget',
    'Show or change budgets and the ledger; also without a running server',
    [getCommand, setCommand, addCommand, callsCommand, correctCommand, chargeCommand, releaseCommand],
    terminal,
  )
