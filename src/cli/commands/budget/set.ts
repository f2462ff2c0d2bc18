import { parseTypedAmount } from '../../../config/amount.ts'
import { type CliCommand, command } from '../../command.ts'
import { changeLimit, type LimitChange, withLimit } from './change-limit.ts'

export const setBudgetCommand: CliCommand = (terminal) =>
  command({
    command: 'set [id] [usd]',
    describe: 'Set a new limit',
    builder: (yargs) =>
      withLimit(yargs).example([
        ['$0 budget set lg-7a3f9c2d 75', '$75.00 from now on'],
        ['$0 budget set --server 100', '$100.00 for all agents together'],
        ['# $5.00 a day for this agent on all machines of a Control Panel', ''],
        ['$0 budget set --agent lead_gen 5 --period day', ''],
      ]),
    handler: ({ id, usd, ...flags }) => changeLimit([id, usd], flags, newLimit, terminal),
  })

const newLimit = (typed: string): LimitChange => ({ limit_usd: parseTypedAmount(typed, 'the new limit') })
