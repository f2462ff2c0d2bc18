import { parseTypedAmount } from '../../../config/amount.ts'
import { type CliCommand, examples } from '../../command.ts'
import { changeLimit, commandWithLimit, type LimitChange } from './change-limit.ts'

export const addBudgetCommand: CliCommand = (terminal) =>
  commandWithLimit('add')
    .description('Raise a limit')
    .addHelpText(
      'after',
      examples(
        ['budget add lg-7a3f9c2d 25', '$25.00 more'],
        ['budget add --server 25', '$25.00 more for all agents together'],
      ),
    )
    .action((id, usd, flags) => changeLimit([id, usd], flags, increase, terminal))

const increase = (typed: string): LimitChange => ({ add_usd: parseTypedAmount(typed, 'the increase') })
