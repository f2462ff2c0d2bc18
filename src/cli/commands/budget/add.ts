import { parseTypedAmount } from '../../../config/amount.ts'
import { type CliCommand, command } from '../../command.ts'
import { changeLimit, type LimitChange, withLimit } from './change-limit.ts'

export const addBudgetCommand: CliCommand = (terminal) =>
  command({
    command: 'add [id] [usd]',
    describe: 'Raise a limit',
    builder: (yargs) =>
      withLimit(yargs).example([
        ['$0 budget add lg-7a3f9c2d 25', '$25.00 more'],
        ['$0 budget add --server 25', '$25.00 more for all agents together'],
      ]),
    handler: ({ id, usd, ...flags }) => changeLimit([id, usd], flags, increase, terminal),
  })

const increase = (typed: string): LimitChange => ({ add_usd: parseTypedAmount(typed, 'the increase') })
