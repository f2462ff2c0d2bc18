import { type CliCommand, group } from '../../command.ts'
import { addBudgetCommand } from './add.ts'
import { callsCommand } from './calls.ts'
import { chargeCommand } from './charge.ts'
import { correctCommand } from './correct.ts'
import { getBudgetCommand } from './get.ts'
import { releaseCommand } from './release.ts'
import { setBudgetCommand } from './set.ts'

export const budgetCommand: CliCommand = (terminal, line) =>
  group(
    'budget',
    'Show or change budgets and the ledger; also without a running server',
    [getBudgetCommand, setBudgetCommand, addBudgetCommand, callsCommand, correctCommand, chargeCommand, releaseCommand],
    terminal,
    line,
  )
