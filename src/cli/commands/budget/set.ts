import { parseTypedAmount } from '../../../config/amount.ts'
import { type CliCommand, examples } from '../../command.ts'
import { changeLimit, commandWithLimit, type LimitChange } from './change-limit.ts'

export const setBudgetCommand: CliCommand = (terminal) =>
  commandWithLimit('set')
    .description('Set a new limit')
    .addHelpText(
      'after',
      examples(
        ['budget set lg-7a3f9c2d 75', '$75.00 from now on'],
        ['budget set --server 100', '$100.00 for all agents together'],
        ['budget set --agent lead_gen 5 --period day', '$5.00 a day for this agent on all machines of a Control Panel'],
      ),
    )
    .action((id, usd, flags) => changeLimit([id, usd], flags, newLimit, terminal))

const newLimit = (typed: string): LimitChange => ({ limit_usd: parseTypedAmount(typed, 'the new limit') })
